/**
 * The feeds of all accounts that somebody follows. Listens to the engine's events from its start, so that a feed can be loaded from
 * the projections at any moment and be moved on from there without a gap.
 */
import type { Pool, PoolClient } from 'pg';
import type { AppliedCommand } from '../../domain/events.ts';
import type { Address, JournalSequence } from '../../domain/units.ts';
import type { EventStream, Stop } from '../../messaging/port.ts';
import { accountBalances } from '../../storage/queries/balances.ts';
import { listOrders } from '../../storage/queries/orders.ts';
import { exchangeProgress } from '../../storage/queries/progress.ts';
import { listFills } from '../../storage/queries/trades.ts';
import type { MarketCatalogue } from '../market-catalogue.ts';
import { ProblemError } from '../problem.ts';
import type { WaitForProjection } from '../read-your-writes.ts';
import type { AccountState } from './account-feed.ts';
import { AccountFeed, FILLS_SHOWN } from './account-feed.ts';

const LOAD_WAIT_MS = 5_000;
/** A feed that nobody follows is kept this long, for whoever reconnects and resumes. */
const IDLE_KEPT_MS = 60_000;
const SWEEP_INTERVAL_MS = 15_000;
const LIVE_ORDERS_MAX = 1_000;
const RELOAD_PAUSE_MS = 500;

export type AccountFeedsOptions = {
  readonly events: EventStream;
  readonly pool: Pool;
  readonly catalogue: MarketCatalogue;
  readonly waitForProjection: WaitForProjection;
  readonly onProblem: (error: unknown) => void;
};

type Entry = {
  readonly feed: AccountFeed;
  loading: Promise<void> | undefined;
  /** Frames that came while it was loaded. */
  buffered: AppliedCommand[];
  /** Loads begun; only the last one counts. */
  loads: number;
  idleSinceMs: number | undefined;
};

export class AccountFeeds {
  readonly #using: AccountFeedsOptions;
  readonly #entries = new Map<Address, Entry>();
  /** Frames after this one have been, or will be, received. */
  #received = 0;
  #stopped = false;
  #unsubscribe: Stop | undefined;
  #starting: Promise<void> | undefined;
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: AccountFeedsOptions) {
    this.#using = options;
  }

  /** The account's feed, loaded. @throws ProblemError NOT_READY when the projections do not come so far in time */
  async open(account: Address): Promise<AccountFeed> {
    await this.#start();
    let entry = this.#entries.get(account);
    if (entry === undefined) {
      entry = {
        feed: new AccountFeed(account, this.#using.catalogue),
        loading: undefined,
        buffered: [],
        loads: 0,
        idleSinceMs: performance.now(),
      };
      this.#entries.set(account, entry);
      entry.loading = this.#load(entry);
    }
    try {
      // A load that was overtaken by another ends early; the last one counts.
      while (entry.loading !== undefined) await entry.loading;
    } catch (error) {
      this.#entries.delete(account);
      throw error;
    }
    return entry.feed;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#sweeper);
    await this.#unsubscribe?.();
    this.#entries.clear();
  }

  #start(): Promise<void> {
    this.#starting ??= this.#listen().catch((error: unknown) => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async #listen(): Promise<void> {
    this.#unsubscribe ??= await this.#using.events.subscribe({
      onApplied: (frames) => this.#receive(frames),
      onGap: ({ got }) => {
        // What was lost must be in what is loaded.
        this.#received = Math.max(this.#received, got - 1);
        this.#reloadAll();
      },
    });
    // Everything after the head that is read now will come as a frame.
    const { journalHead } = await exchangeProgress(this.#using.pool);
    this.#received = Math.max(this.#received, journalHead);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_INTERVAL_MS).unref();
  }

  #receive(frames: readonly AppliedCommand[]): void {
    const last = frames.at(-1);
    if (last === undefined) return;
    this.#received = Math.max(this.#received, last.sequence);
    for (const entry of this.#entries.values()) {
      if (entry.loading !== undefined) entry.buffered.push(...frames);
      else for (const frame of frames) entry.feed.apply(frame);
    }
  }

  #reloadAll(): void {
    for (const [account, entry] of this.#entries) {
      if (entry.feed.subscriberCount === 0) {
        this.#entries.delete(account);
        continue;
      }
      entry.loading = this.#reload(entry);
    }
  }

  /** Tries until it is done: sockets that follow the feed have nothing right until then. */
  async #reload(entry: Entry): Promise<void> {
    while (!this.#stopped && entry.feed.subscriberCount > 0) {
      try {
        await this.#load(entry);
        return;
      } catch (error) {
        this.#using.onProblem(error);
        await new Promise((resolve) => setTimeout(resolve, RELOAD_PAUSE_MS));
      }
    }
    this.#entries.delete(entry.feed.account);
  }

  async #load(entry: Entry): Promise<void> {
    const { pool, waitForProjection, catalogue } = this.#using;
    entry.loads++;
    const load = entry.loads;
    entry.buffered = [];
    const needed = this.#received as JournalSequence;
    if (!(await waitForProjection(needed, LOAD_WAIT_MS))) {
      throw new ProblemError('NOT_READY', 'The projections lag behind the engine; subscribe again.', {
        retryAfterMs: 1_000,
      });
    }
    await Promise.all([catalogue.markets(), catalogue.assets()]);
    const state = await readAccount(pool, entry.feed.account);
    // A gap while this one was read has started another load, which has the frames since then.
    if (entry.loads !== load) return;
    entry.feed.load(state);
    // From here to the end nothing yields, so no frame can slip between. Subscribers start again before they are told more.
    for (const channel of Object.values(entry.feed.channels)) channel.resync();
    const { buffered } = entry;
    entry.buffered = [];
    entry.loading = undefined;
    for (const frame of buffered) entry.feed.apply(frame);
  }

  #sweep(): void {
    const now = performance.now();
    for (const [account, entry] of this.#entries) {
      if (entry.feed.subscriberCount > 0) entry.idleSinceMs = undefined;
      else if (entry.idleSinceMs === undefined) entry.idleSinceMs = now;
      else if (now - entry.idleSinceMs > IDLE_KEPT_MS) this.#entries.delete(account);
    }
  }
}

/** All parts at one moment of the journal: one repeatable-read transaction. */
async function readAccount(pool: Pool, account: Address): Promise<AccountState> {
  const client: PoolClient = await pool.connect();
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    const held = await accountBalances(client, account);
    const orders = await listOrders(
      client,
      { account, statuses: ['open', 'partially_filled'] },
      { limit: LIVE_ORDERS_MAX },
    );
    const fills = await listFills(client, { account }, { limit: FILLS_SHOWN });
    await client.query('COMMIT');
    return {
      sequence: held.journalSequence,
      orders: orders.rows,
      // Oldest first: the feed drops from the front.
      fills: fills.rows.toReversed(),
      balances: held.balances,
    };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  } finally {
    client.release();
  }
}
