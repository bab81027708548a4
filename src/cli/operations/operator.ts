/**
 * The operator's decisions. Those that change what the engine does are asked for through the database, journaled by the engine, and so in
 * the public journal with their reason; incidents are closed where they were opened.
 */
import { hostname, userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import type { EngineLimits } from '../../domain/commands.ts';
import { ExchangeError } from '../../domain/errors.ts';
import type { Asset, FeeTier, MarketParameters, MarketState } from '../../domain/markets.ts';
import { decimalToUnits, FEE_PPM_MAX, type Ppm, type Quanta, unitsToQuanta } from '../../domain/units.ts';
import { closeIncident, readOpenIncidents } from '../../storage/incidents.ts';
import { addOperatorRequest, type OperatorDecision, readOperatorRequest } from '../../storage/operator-requests.ts';
import { findPendingBatch } from '../../storage/queries/batches.ts';
import { findGenesis, listAssets, listMarkets, type MarketListing } from '../../storage/queries/listings.ts';
import { listIncidents } from '../../storage/queries/reconciliation.ts';
import { EXIT, UsageError } from '../exit-codes.ts';
import { marketName, wholeNumber } from '../options.ts';
import { type Terminal, table, timeText } from '../terminal.ts';
import { withDatabase } from './environment.ts';

type DecisionOptions = { reason: string; timeout: number };
type ParameterOptions = { makerFeePpm?: number; takerFeePpm?: number; priceBandPpm?: number; minNotional?: string };
type LimitOptions = { openOrders?: number; batchesInFlight?: number; unsettledAge?: number; orderAge?: number };

const POLL_MS = 200;
const REASON_LENGTH_MAX = 500;
const INCIDENTS_SHOWN = 100;

export function addOperator(program: Command, terminal: Terminal): void {
  const operator = program.command('operator').description("the operator's decisions, journaled with their reason");

  decision(operator, 'halt-withdrawals', 'accept and pay out no withdrawal until they are resumed').action(
    ({ reason, timeout }: DecisionOptions) =>
      withDatabase((pool) => decide(pool, { kind: 'haltWithdrawals', reason }, { reason, timeout }, terminal)),
  );
  decision(operator, 'resume-withdrawals', 'resume withdrawals after a halt, once its cause is understood').action(
    ({ reason, timeout }: DecisionOptions) =>
      withDatabase((pool) => decide(pool, { kind: 'resumeWithdrawals', reason }, { reason, timeout }, terminal)),
  );
  decision(operator, 'set-market-state', 'open a market, make it cancel-only, or halt it')
    .argument('<market>', 'such as WETH-USDC', marketName)
    .addArgument(new Argument('<state>', 'what it becomes').choices(['open', 'cancel_only', 'halted']))
    .action((symbol: string, state: MarketState, options: DecisionOptions) =>
      withDatabase(async (pool) => {
        const { market } = await findListing(pool, symbol);
        await decide(pool, { kind: 'setMarketState', market: market.index, state }, options, terminal);
      }),
    );

  addParameterDecisions(operator, terminal);
  addReseal(operator, terminal);
  decision(
    operator,
    'accept-clock-jump',
    "follow the engine machine's clock again after a jump; what is due by it ends",
  ).action(({ reason, timeout }: DecisionOptions) =>
    withDatabase((pool) => decide(pool, { kind: 'acceptClockJump', reason }, { reason, timeout }, terminal)),
  );

  operator
    .command('incidents')
    .description('list the open incidents, newest first')
    .option('--all', 'closed ones too')
    .action(({ all }: { all?: boolean }) => withDatabase((pool) => showIncidents(pool, all === true, terminal)));

  operator
    .command('close-incident')
    .description('close an incident, saying why')
    .argument('<id>', 'as "tallystick operator incidents" shows it', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .requiredOption('--reason <text>', 'kept with the incident', reasonValue)
    .action((id: number, { reason }: { reason: string }) =>
      withDatabase(async (pool) => {
        const resolution = `${reason} (${requester()})`;
        if (!(await closeIncident(pool, id, resolution))) throw new UsageError(`there is no open incident ${id}`);
        terminal.show({ json: { id, closed: true, resolution }, text: `incident ${id} is closed` });
      }),
    );
}

/** The settlement service asks by itself for what is too large; a person asks for what does not land for another reason. */
function addReseal(operator: Command, terminal: Terminal): void {
  decision(operator, 'reseal-batch', 'cut a batch that does not land, and those after it, into smaller ones')
    .argument('<batch>', 'its id, as "GET /api/v1/batches" shows it', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--trades-max <count>', 'most trades of each part; half of its trades by default', wholeNumber(1, 1_000))
    .option('--withdrawals-max <count>', 'likewise of withdrawals', wholeNumber(1, 1_000))
    .action((batchId: number, options: DecisionOptions & { tradesMax?: number; withdrawalsMax?: number }) =>
      withDatabase(async (pool) => {
        const pending = await findPendingBatch(pool, batchId);
        if (pending === undefined)
          throw new UsageError(`batch ${batchId} does not wait to be settled: GET /api/v1/batches shows its state`);
        const { journalSequence, tradeCount, withdrawalCount } = pending;
        const { reason } = options;
        const tradesMax = options.tradesMax ?? Math.max(1, Math.ceil(tradeCount / 2));
        const withdrawalsMax = options.withdrawalsMax ?? Math.max(1, Math.ceil(withdrawalCount / 2));
        const limits = { tradesMax, withdrawalsMax };
        const command = { kind: 'resealBatch', batchId, sealedAt: journalSequence, ...limits, reason } as const;
        await decide(pool, command, options, terminal);
      }),
    );
}

/** What is given replaces what stands; the rest stays as it is. */
function addParameterDecisions(operator: Command, terminal: Terminal): void {
  decision(operator, 'set-market-parameters', "a market's fees, price band and smallest order; what is not named stays")
    .argument('<market>', 'such as WETH-USDC', marketName)
    .option('--maker-fee-ppm <ppm>', 'parts per million of the notional', wholeNumber(0, FEE_PPM_MAX))
    .option('--taker-fee-ppm <ppm>', 'parts per million of the notional', wholeNumber(0, FEE_PPM_MAX))
    .option('--price-band-ppm <ppm>', 'furthest from the last trade; 0 switches it off', wholeNumber(0, 1_000_000_000))
    .option('--min-notional <amount>', 'smallest price × size, in the quote token')
    .action((symbol: string, options: DecisionOptions & ParameterOptions) =>
      withDatabase(async (pool) => {
        const listing = await findListing(pool, symbol);
        const quote = await findAsset(pool, ({ index }) => index === listing.market.quoteAsset, symbol);
        const { feeTiers: _, ...present } = listing.parameters;
        const parameters: MarketParameters = {
          makerFeePpm: (options.makerFeePpm ?? present.makerFeePpm) as Ppm,
          takerFeePpm: (options.takerFeePpm ?? present.takerFeePpm) as Ppm,
          priceBandPpm: options.priceBandPpm ?? present.priceBandPpm,
          minNotional:
            options.minNotional === undefined
              ? present.minNotional
              : quantaOf(options.minNotional, quote, '--min-notional'),
        };
        const command = { kind: 'setMarketParameters', market: listing.market.index, parameters } as const;
        await decide(pool, command, options, terminal);
      }),
    );
  decision(operator, 'set-fee-tiers', "a market's fees by volume over 30 days; none removes the schedule")
    .argument('<market>', 'such as WETH-USDC', marketName)
    .argument('[tiers...]', 'each volume:maker:taker, such as 1000000:100:300 (volume in the quote token, fees in ppm)')
    .action((symbol: string, texts: string[], options: DecisionOptions) =>
      withDatabase(async (pool) => {
        const { market } = await findListing(pool, symbol);
        const quote = await findAsset(pool, ({ index }) => index === market.quoteAsset, symbol);
        const tiers = texts.map((text) => tierOf(text, quote));
        const { reason } = options;
        await decide(pool, { kind: 'setFeeTiers', market: market.index, tiers, reason }, options, terminal);
      }),
    );
  decision(operator, 'set-withdrawal-terms', "an asset's fee and smallest amount of withdrawals")
    .argument('<asset>', 'such as USDC')
    .requiredOption('--fee <amount>', 'charged per withdrawal, in the asset')
    .requiredOption('--minimum <amount>', 'smallest withdrawal, in the asset')
    .action((symbol: string, options: DecisionOptions & { fee: string; minimum: string }) =>
      withDatabase(async (pool) => {
        const asset = await findAsset(pool, (listed) => listed.symbol === symbol.toUpperCase(), symbol);
        const fee = quantaOf(options.fee, asset, '--fee');
        const minimum = quantaOf(options.minimum, asset, '--minimum');
        const { reason } = options;
        const command = { kind: 'setWithdrawalTerms', asset: asset.index, fee, minimum, reason } as const;
        await decide(pool, command, options, terminal);
      }),
    );
  decision(operator, 'set-limits', "the engine's limits; what is not named stays")
    .option('--open-orders <count>', 'live orders of one account', wholeNumber(1, 100_000))
    .option('--batches-in-flight <count>', 'unfinal batches at which markets turn cancel-only', wholeNumber(1, 100_000))
    .option('--unsettled-age <ms>', 'age of the oldest unsettled trade at which they do', wholeNumber(1, 86_400_000))
    .option('--order-age <ms>', 'older sequences of new orders are refused', wholeNumber(1, 86_400_000))
    .action((options: DecisionOptions & LimitOptions) =>
      withDatabase(async (pool) => {
        const present = (await findGenesis(pool))?.limits;
        if (present === undefined) throw new UsageError('the exchange has not started yet: there are no limits');
        const limits: EngineLimits = {
          openOrdersPerAccountMax: options.openOrders ?? present.openOrdersPerAccountMax,
          batchesInFlightMax: options.batchesInFlight ?? present.batchesInFlightMax,
          unsettledAgeMaxMs: options.unsettledAge ?? present.unsettledAgeMaxMs,
          orderAgeMaxMs: options.orderAge ?? present.orderAgeMaxMs,
        };
        const { reason } = options;
        await decide(pool, { kind: 'setLimits', limits, reason }, options, terminal);
      }),
    );
}

function tierOf(text: string, quote: Asset): FeeTier {
  const [volume = '', maker = '', taker = '', ...rest] = text.split(':');
  const parse = wholeNumber(0, FEE_PPM_MAX);
  if (rest.length > 0 || taker === '') throw new UsageError(`a tier is volume:maker:taker, got "${text}"`);
  return {
    volumeMin: quantaOf(volume, quote, 'the volume of a tier'),
    makerFeePpm: parse(maker) as Ppm,
    takerFeePpm: parse(taker) as Ppm,
  };
}

function quantaOf(text: string, asset: Asset, name: string): Quanta {
  const units = decimalToUnits(text, asset.decimals);
  if (units === undefined) throw new UsageError(`${name} must be an amount of ${asset.symbol}, got "${text}"`);
  const { amount, remainderUnits } = unitsToQuanta(units, asset);
  if (remainderUnits !== 0n)
    throw new UsageError(`${name}: ${text} ${asset.symbol} is finer than the exchange accounts`);
  return amount;
}

function decision(operator: Command, name: string, description: string): Command {
  return operator
    .command(name)
    .description(description)
    .requiredOption('--reason <text>', 'goes into the public journal', reasonValue)
    .option('--timeout <seconds>', 'how long to wait for the engine', wholeNumber(1, 3_600), 15);
}

function reasonValue(text: string): string {
  const reason = text.trim();
  if (reason === '' || reason.length > REASON_LENGTH_MAX) {
    throw new InvalidArgumentError(`It must have 1 to ${REASON_LENGTH_MAX} characters.`);
  }
  return reason;
}

/** Asks, and waits until the engine has journaled or refused it. */
async function decide(
  pool: Pool,
  command: OperatorDecision,
  { reason, timeout }: DecisionOptions,
  terminal: Terminal,
): Promise<void> {
  const id = await addOperatorRequest(pool, { command, reason, requestedBy: requester() });
  const deadline = performance.now() + timeout * 1000;
  for (;;) {
    const request = await readOperatorRequest(pool, id);
    if (request?.journalSequence !== undefined) {
      const { journalSequence } = request;
      const text = `${command.kind} is journaled as command ${journalSequence} (request ${id})`;
      terminal.show({ json: { requestId: id, command, outcome: 'journaled', journalSequence }, text });
      return;
    }
    if (request?.outcome !== undefined) {
      const { outcome } = request;
      const json = { requestId: id, command, outcome, journalSequence: null };
      terminal.show({ json, text: `request ${id} was ${outcome}`, exitCode: EXIT.refused });
      return;
    }
    if (performance.now() > deadline) {
      throw new ExchangeError(
        'STATUS_UNKNOWN',
        `request ${id} is recorded, but no engine has taken it within ${timeout} s; it will be journaled when one leads`,
      );
    }
    await sleep(POLL_MS);
  }
}

async function findListing(pool: Pool, symbol: string): Promise<MarketListing> {
  const listings = await listMarkets(pool);
  const found = listings.find(({ market }) => market.symbol === symbol);
  if (found !== undefined) return found;
  const known = listings.map(({ market }) => market.symbol).join(', ') || 'none';
  throw new UsageError(`market must be one of ${known}, got "${symbol}"`);
}

async function findAsset(pool: Pool, wanted: (asset: Asset) => boolean, name: string): Promise<Asset> {
  const assets = await listAssets(pool);
  const found = assets.find(wanted);
  if (found !== undefined) return found;
  throw new UsageError(
    `asset must be one of ${assets.map(({ symbol }) => symbol).join(', ') || 'none'}, got "${name}"`,
  );
}

async function showIncidents(pool: Pool, all: boolean, terminal: Terminal): Promise<void> {
  const incidents = all
    ? (await listIncidents(pool, { limit: INCIDENTS_SHOWN })).rows
    : (await readOpenIncidents(pool)).toReversed().map(({ openedAt, ...incident }) => ({
        ...incident,
        openedAtMs: openedAt.getTime(),
        closedAtMs: undefined,
        resolution: undefined,
      }));
  const rows = incidents.map(({ id, kind, summary, openedAtMs, closedAtMs, resolution }) => [
    String(id),
    kind,
    timeText(openedAtMs),
    closedAtMs === undefined ? 'open' : `closed ${timeText(closedAtMs)}: ${resolution ?? ''}`,
    summary,
  ]);
  terminal.show({ json: incidents, text: table(['>id', 'kind', 'opened (UTC)', 'state', 'summary'], rows) });
}

/** Who asks, as this machine knows them. */
function requester(): string {
  let name: string;
  try {
    name = userInfo().username;
  } catch {
    // A container's user need not have a name.
    name = `uid ${process.getuid?.() ?? 'unknown'}`;
  }
  return `${name}@${hostname()}`;
}
