/** Batches of a rehearsal: one trade of ann and ben each, signed as the engine would, by whichever engine key the step names. */
import { sign } from 'viem/accounts';
import {
  batchHash,
  type ContentOrder,
  contentHash,
  encodeBatchContent,
  GENESIS_PARENT,
} from '../../src/chain/batch-codec.ts';
import { bytesToHex } from '../../src/chain/hex.ts';
import { packNonce } from '../../src/domain/orders.ts';
import { type Address, type Hash, type Hex, lots, type Ppm } from '../../src/domain/units.ts';
import { RehearsalFailure, type Role, type Stage } from './stage.ts';

const SIZE_LOTS = 1;
const PRICE_TICKS = 1_000;

/** A content and where it stands; who signs it is decided when it is sent. */
export type Sealed = {
  readonly id: number;
  readonly parent: Hash;
  readonly content: Uint8Array;
  /** The parent that the next batch must carry, whoever signs this one. */
  readonly hash: Hash;
};

export class Batches {
  readonly #stage: Stage;
  #id = 0;
  #parent: Hash = GENESIS_PARENT;
  #sequence = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** The next batch: ann buys from ben in the plan's first market. */
  async seal(): Promise<Sealed> {
    const orders = await Promise.all([this.#order('ann', 'buy'), this.#order('ben', 'sell')]);
    orders.sort((a, b) => (a.account < b.account ? -1 : 1));
    const taker = orders.findIndex(({ order }) => order.side === 'buy');
    const content = encodeBatchContent({
      markets: [0],
      accounts: orders.map(({ account, order }) => ({ account, extraPages: [], orders: [order] })),
      fills: [
        {
          takerOrder: taker,
          makerOrder: 1 - taker,
          sizeLots: lots(SIZE_LOTS),
          takerFeePpm: 0 as Ppm,
          makerFeePpm: 0 as Ppm,
        },
      ],
      withdrawals: [],
    });
    const id = this.#id + 1;
    const header = { id, parent: this.#parent, ...journalOf(content, id) };
    return { id, parent: this.#parent, content, hash: batchHash({ ...header, contentHash: contentHash(content) }) };
  }

  /** The arguments of `settle`, signed by an engine key in an epoch. */
  async signed(sealed: Sealed, key: Role, epoch: number): Promise<readonly unknown[]> {
    const { id, parent, content } = sealed;
    const { journalSequence, journalHash } = journalOf(content, id);
    const header = {
      id: BigInt(id),
      parent,
      epoch: BigInt(epoch),
      journalSequence: BigInt(journalSequence),
      journalHash,
    };
    const digest = this.#stage.digester.batch({ ...header, contentHash: contentHash(content) });
    const signature = await signCompact(this.#stage.keys.get(key) as Hex, digest);
    return [header, bytesToHex(content), signature.slice(0, 66), `0x${signature.slice(66)}`];
  }

  /** Settles it. @throws RehearsalFailure when it is refused, skips its trade, or ends in another hash than was expected */
  async settle(sealed: Sealed, key: Role, epoch: number): Promise<void> {
    const events = await this.#stage.act('deployer', 'settle', await this.signed(sealed, key, epoch));
    const settled = events.find(({ name }) => name === 'BatchSettled')?.args;
    if (settled?.['skips'] !== '0x') throw new RehearsalFailure(`the trade of batch ${sealed.id} was skipped`);
    if (settled['batchHash'] !== sealed.hash) throw new RehearsalFailure(`batch ${sealed.id} has another hash`);
    this.#id = sealed.id;
    this.#parent = sealed.hash;
  }

  async #order(role: Role, side: 'buy' | 'sell'): Promise<{ account: Address; order: ContentOrder }> {
    const { plan, deployment, digester } = this.#stage;
    const [market] = plan.markets;
    if (market === undefined) throw new RangeError('a rehearsal trades in the plan’s first market, and it lists none');
    const quantumOf = (symbol: string) => BigInt(plan.assets.find((asset) => asset.symbol === symbol)?.quantum ?? 0);
    const now = await this.#stage.now();
    this.#sequence = Math.max(this.#sequence + 1, (now - deployment.deployedAt) * 1_000 + 1);
    const terms = {
      lane: 0,
      orderSequence: this.#sequence,
      market: 0,
      side,
      timeInForce: 'gtc',
      postOnly: false,
      sizeLots: SIZE_LOTS,
      priceTicks: PRICE_TICKS,
      expiry: now + 20 * 86_400,
      maxFeePpm: 0,
    } as const;
    const account = this.#stage.addressOf(role);
    const lotQuanta = BigInt(SIZE_LOTS) * BigInt(market.lotQuanta);
    const tickQuanta = BigInt(SIZE_LOTS) * BigInt(PRICE_TICKS) * BigInt(market.tickQuanta);
    const digest = digester.order({
      ...terms,
      account,
      baseToken: this.#stage.token(market.base),
      baseAmount: lotQuanta * quantumOf(market.base),
      quoteToken: this.#stage.token(market.quote),
      quoteAmount: tickQuanta * quantumOf(market.quote),
      nonce: packNonce(terms.lane, terms.orderSequence),
      expiry: BigInt(terms.expiry),
    });
    const signature = await signCompact(this.#stage.keys.get(role) as Hex, digest);
    return { account, order: { ...terms, authorisation: { kind: 'owner', signature } } };
  }
}

/** There is no journal in a rehearsal: any position and hash do. */
function journalOf(content: Uint8Array, id: number): { journalSequence: number; journalHash: Hash } {
  return { journalSequence: id, journalHash: contentHash(content) };
}

/** ERC-2098: r, then s with the parity in its top bit. */
async function signCompact(key: Hex, hash: Hash): Promise<Hex> {
  const { r, s, yParity } = await sign({ hash, privateKey: key });
  const top = BigInt(s) | (BigInt(yParity ?? 0) << 255n);
  return `0x${r.slice(2).padStart(64, '0')}${top.toString(16).padStart(64, '0')}`;
}
