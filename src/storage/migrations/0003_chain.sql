-- Up Migration
CREATE TABLE chain_identity (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  chain_id bigint NOT NULL,
  genesis_hash bytea NOT NULL,
  vault bytea NOT NULL,
  deployment_block bigint NOT NULL,
  deployment_block_hash bytea NOT NULL,
  deployment_parent_hash bytea NOT NULL,
  deployed_at timestamptz NOT NULL
);

-- The canonical chain as followed: every block after the last final one, each the child of the one before; of the final blocks the last one
-- and those with vault events. So the table's size follows the events, and the order in which blocks were read leaves no trace.
CREATE TABLE chain_blocks (
  number bigint PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  parent_hash bytea NOT NULL,
  block_time timestamptz NOT NULL,
  -- event sequence of the last vault event up to and including this block
  last_event_sequence bigint NOT NULL,
  final boolean NOT NULL DEFAULT false
);

-- Vault events of the canonical chain. Rows of reorganised blocks are deleted; final rows never change.
-- The engine's feeder reads final rows in event_sequence order; payload is the domain's ChainFact as JSON (bigints as strings).
CREATE TABLE chain_events (
  event_sequence bigint PRIMARY KEY,
  block_number bigint NOT NULL REFERENCES chain_blocks ON DELETE CASCADE,
  tx_hash bytea NOT NULL,
  log_index integer NOT NULL,
  kind text NOT NULL,
  payload jsonb NOT NULL,
  UNIQUE (block_number, log_index)
);
CREATE INDEX chain_events_by_tx ON chain_events (tx_hash);

-- Halts and alarms, opened by whoever finds them, closed by an operator's word.
CREATE TABLE incidents (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  summary text NOT NULL,
  details jsonb NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_at timestamptz,
  resolution text
);

CREATE TABLE reconciliations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch_id bigint NOT NULL,
  block_number bigint NOT NULL,
  block_hash bytea NOT NULL,
  event_sequence bigint NOT NULL,
  accounts_compared integer NOT NULL,
  balances_compared integer NOT NULL,
  full_sweep boolean NOT NULL,
  drifted boolean NOT NULL,
  -- [{ account, asset, ledger, vault }] in quanta
  drift jsonb NOT NULL,
  -- [{ asset, booked, fees, balanceOf }] in token base units
  solvency jsonb NOT NULL,
  checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
