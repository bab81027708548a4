/** Fees as plainly as possible: every settled trade is kept, and an account's volume is summed anew whenever it trades. */
import type { SequencedCommand } from '../../src/domain/commands.ts';
import type { FeeTier, MarketParameters } from '../../src/domain/markets.ts';
import type { Address } from '../../src/domain/units.ts';
import { MARKETS, PARAMETERS } from './listings.ts';

type Fees = { readonly makerFeePpm: number; readonly takerFeePpm: number };
type Settled = { readonly account: Address; readonly asset: number; readonly day: number; readonly notional: number };

const DAY_MS = 86_400_000;

export class ModelFees {
  readonly #parameters: MarketParameters[] = MARKETS.map(() => PARAMETERS);
  readonly #tiers: (readonly FeeTier[])[] = MARKETS.map(() => []);
  readonly #listed = new Set<number>();
  readonly #settled: Settled[] = [];
  #maximum: Fees = { makerFeePpm: 50_000, takerFeePpm: 50_000 };

  take({ command }: SequencedCommand, applied: boolean): void {
    if (command.kind === 'marketListed' && applied) this.#listed.add(command.market.index);
    // What is said of a market before it is listed is said to nobody.
    if ('market' in command && typeof command.market === 'number' && !this.#listed.has(command.market)) return;
    if (command.kind === 'setMarketParameters') this.#parameters[command.market] = command.parameters;
    if (command.kind === 'setFeeTiers') this.#tiers[command.market] = command.tiers;
    if (command.kind === 'feesChanged' && applied) this.#maximum = command;
  }

  settled(account: Address, market: number, notional: number, timestampMs: number): void {
    const asset = MARKETS[market]?.quote ?? -1;
    this.#settled.push({ account, asset, day: Math.floor(timestampMs / DAY_MS), notional });
  }

  /** What the account pays in the market now, before its order's own maximum. */
  of(account: Address, market: number, timestampMs: number): Fees {
    const today = Math.floor(timestampMs / DAY_MS);
    const asset = MARKETS[market]?.quote;
    let volume = 0;
    for (const trade of this.#settled) {
      const counts = trade.account === account && trade.asset === asset && trade.day < today && trade.day >= today - 30;
      if (counts) volume += trade.notional;
    }
    let fees: Fees = this.#parameters[market] ?? PARAMETERS;
    for (const tier of this.#tiers[market] ?? []) if (volume >= tier.volumeMin) fees = tier;
    return {
      makerFeePpm: Math.min(fees.makerFeePpm, this.#maximum.makerFeePpm),
      takerFeePpm: Math.min(fees.takerFeePpm, this.#maximum.takerFeePpm),
    };
  }
}
