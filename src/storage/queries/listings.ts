/** Assets, markets and their parameters as the engine applied them; also what else the engine made known about itself. */
import type { EngineLimits } from '../../domain/commands.ts';
import type { Asset, FeeTier, Market, MarketParameters, MarketState } from '../../domain/markets.ts';
import type { Address, Quanta, TimestampMs, TimestampSeconds } from '../../domain/units.ts';
import { dayOf, VOLUME_DAYS } from '../../offchain-engine/volumes.ts';
import { bytesOf, hexOf, integer, type Queryable, type SqlInteger } from './rows.ts';

/** What applies in a market: fees as the operator set them, or the vault's maximum where that is lower. */
export type ListedParameters = MarketParameters & { readonly feeTiers: readonly FeeTier[] };

export type MarketListing = {
  readonly market: Market;
  readonly state: MarketState;
  /** Why it is in that state; empty when it was just listed. */
  readonly stateReason: string;
  readonly parameters: ListedParameters;
};

/** Ascending by index. */
export async function listAssets(db: Queryable): Promise<readonly Asset[]> {
  const { rows } = await db.query<{ definition: AssetJson }>('SELECT definition FROM listed_assets ORDER BY asset');
  return rows.map((row) => ({ ...row.definition, quantumUnits: BigInt(row.definition.quantumUnits) }));
}

/** Ascending by index. */
export async function listMarkets(db: Queryable): Promise<readonly MarketListing[]> {
  const { rows } = await db.query<{
    definition: Market;
    state: MarketState;
    state_reason: string;
    parameters: ListedParameters;
  }>('SELECT definition, state, state_reason, parameters FROM listed_markets ORDER BY market');
  return rows.map((row) => ({
    market: row.definition,
    state: row.state,
    stateReason: row.state_reason,
    parameters: row.parameters,
  }));
}

/** The asset as JSON keeps it: the only bigint as a decimal string. */
export type AssetJson = Omit<Asset, 'quantumUnits'> & { readonly quantumUnits: string };

export type Genesis = {
  readonly chainId: number;
  readonly vault: Address;
  /** Order sequences count from here. */
  readonly deployedAtMs: TimestampMs;
  readonly limits: EngineLimits;
  readonly withdrawalFees: readonly { readonly asset: number; readonly fee: Quanta }[];
};

/** With the limits that apply now. Undefined until the projector has seen command 1. */
export async function findGenesis(db: Queryable): Promise<Genesis | undefined> {
  const { rows } = await db.query<{ value: Genesis; limits: EngineLimits | null }>(
    `SELECT value, (SELECT value FROM engine_status WHERE name = 'limits') AS limits
       FROM engine_status WHERE name = 'genesis'`,
  );
  const [row] = rows;
  return row === undefined ? undefined : { ...row.value, limits: row.limits ?? row.value.limits };
}

export type WithdrawalTerms = { readonly fee: Quanta; readonly minimum: Quanta };

/** By asset; absent means free and without a minimum. */
export async function listWithdrawalTerms(db: Queryable): Promise<ReadonlyMap<number, WithdrawalTerms>> {
  const { rows } = await db.query<{ value: { asset: number; fee: Quanta; minimum: Quanta } }>(
    `SELECT value FROM engine_status WHERE name LIKE 'withdrawalTerms.%'`,
  );
  const genesis = await findGenesis(db);
  const terms = new Map<number, WithdrawalTerms>();
  for (const { asset, fee } of genesis?.withdrawalFees ?? []) terms.set(asset, { fee, minimum: 0 as Quanta });
  for (const { value } of rows) terms.set(value.asset, { fee: value.fee, minimum: value.minimum });
  return terms;
}

/** The account's settled volume in quote quanta by quote asset over the complete days before `nowMs` that count. */
export async function listVolumes(
  db: Queryable,
  account: Address,
  nowMs: number,
): Promise<ReadonlyMap<number, Quanta>> {
  const { rows } = await db.query<{ asset: number; volume: SqlInteger }>(
    `SELECT asset, LEAST(sum(volume), ${Number.MAX_SAFE_INTEGER})::bigint AS volume FROM trading_volumes
      WHERE account = $1 AND day >= $2::integer - ${VOLUME_DAYS} AND day < $2::integer GROUP BY asset`,
    [bytesOf(account), dayOf(nowMs)],
  );
  return new Map(rows.map((row) => [row.asset, integer<Quanta>(row.volume)]));
}

export type SessionKeyRow = {
  readonly account: Address;
  readonly key: Address;
  readonly validUntil: TimestampSeconds;
  /** Bit i allows market i; bit 255 all. */
  readonly marketMask: bigint;
};

/** Every key the account ever registered, revoked and expired ones included: look at `validUntil`. */
export async function listSessionKeys(db: Queryable, account: Address): Promise<readonly SessionKeyRow[]> {
  const { rows } = await db.query<SessionKeySql>('SELECT * FROM session_keys WHERE account = $1 ORDER BY key', [
    bytesOf(account),
  ]);
  return rows.map(sessionKeyOf);
}

export async function findSessionKey(
  db: Queryable,
  account: Address,
  key: Address,
): Promise<SessionKeyRow | undefined> {
  const { rows } = await db.query<SessionKeySql>('SELECT * FROM session_keys WHERE account = $1 AND key = $2', [
    bytesOf(account),
    bytesOf(key),
  ]);
  return rows[0] === undefined ? undefined : sessionKeyOf(rows[0]);
}

type SessionKeySql = { account: Buffer; key: Buffer; valid_until: SqlInteger; market_mask: string };

function sessionKeyOf(row: SessionKeySql): SessionKeyRow {
  return {
    account: hexOf(row.account),
    key: hexOf(row.key),
    validUntil: integer<TimestampSeconds>(row.valid_until),
    marketMask: BigInt(row.market_mask),
  };
}
