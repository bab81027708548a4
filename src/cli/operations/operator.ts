/**
 * The operator's decisions. Those that change what the engine does are asked for through the database, journaled by the engine, and so in
 * the public journal with their reason; incidents are closed where they were opened.
 */
import { hostname, userInfo } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Argument, type Command, InvalidArgumentError } from 'commander';
import type { Pool } from 'pg';
import { ExchangeError } from '../../domain/errors.ts';
import type { MarketState } from '../../domain/markets.ts';
import { closeIncident, readOpenIncidents } from '../../storage/incidents.ts';
import { addOperatorRequest, type OperatorDecision, readOperatorRequest } from '../../storage/operator-requests.ts';
import { listMarkets } from '../../storage/queries/listings.ts';
import { listIncidents } from '../../storage/queries/reconciliation.ts';
import { EXIT, UsageError } from '../exit-codes.ts';
import { marketName, wholeNumber } from '../options.ts';
import { type Terminal, table, timeText } from '../terminal.ts';
import { withDatabase } from './environment.ts';

type DecisionOptions = { reason: string; timeout: number };

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
        const market = await findMarket(pool, symbol);
        await decide(pool, { kind: 'setMarketState', market, state }, options, terminal);
      }),
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

async function findMarket(pool: Pool, symbol: string): Promise<number> {
  const listings = await listMarkets(pool);
  const found = listings.find(({ market }) => market.symbol === symbol);
  if (found !== undefined) return found.market.index;
  const known = listings.map(({ market }) => market.symbol).join(', ') || 'none';
  throw new UsageError(`market must be one of ${known}, got "${symbol}"`);
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
