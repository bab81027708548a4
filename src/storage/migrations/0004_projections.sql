-- Up Migration
-- Read models, written by the projector in one transaction with its cursor; rebuildable from the journal alone.
CREATE TABLE projection_cursor (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  journal_sequence bigint NOT NULL,
  -- last vault event the ledger has applied; `settled` figures stand exactly there
  chain_event_sequence bigint NOT NULL
);
INSERT INTO projection_cursor (journal_sequence, chain_event_sequence) VALUES (0, 0);

CREATE TABLE orders (
  digest bytea PRIMARY KEY,
  account bytea NOT NULL,
  signer bytea NOT NULL,
  market integer NOT NULL,
  side text NOT NULL,
  size_lots bigint NOT NULL,
  price_ticks bigint NOT NULL,
  time_in_force text NOT NULL,
  post_only boolean NOT NULL,
  lane integer NOT NULL,
  order_sequence bigint NOT NULL,
  expiry bigint NOT NULL,
  max_fee_ppm integer NOT NULL,
  client_order_id text NOT NULL,
  self_trade_prevention text NOT NULL,
  stop jsonb,
  status text NOT NULL,
  reason text,
  filled_lots bigint NOT NULL,
  remaining_lots bigint NOT NULL,
  -- quote quanta over its trades so far, as matched: a voided trade is not taken out
  filled_notional bigint NOT NULL,
  fees_paid bigint NOT NULL,
  journal_sequence bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL
);
CREATE INDEX orders_by_account ON orders (account, journal_sequence DESC);
-- Not unique: refused orders keep their client order id, and the engine does not know uniqueness of it. Readers take the first accepted.
CREATE INDEX orders_by_client_id ON orders (account, client_order_id) WHERE client_order_id <> '';
CREATE INDEX orders_live ON orders (account, market) WHERE status IN ('open', 'partially_filled');

CREATE TABLE trades (
  trade_id bigint PRIMARY KEY,
  market integer NOT NULL,
  price_ticks bigint NOT NULL,
  size_lots bigint NOT NULL,
  notional bigint NOT NULL,
  taker_side text NOT NULL,
  taker_account bytea NOT NULL,
  taker_digest bytea NOT NULL,
  taker_fee bigint NOT NULL,
  maker_account bytea NOT NULL,
  maker_digest bytea NOT NULL,
  maker_fee bigint NOT NULL,
  journal_sequence bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  -- matched → batched → (submitted → included, known from settlements) → final, or voided with a reason
  state text NOT NULL CHECK (state IN ('matched', 'batched', 'final', 'voided')),
  void_reason text,
  batch_id bigint,
  -- position within the batch
  batch_index integer
);
CREATE INDEX trades_by_market ON trades (market, trade_id DESC);
CREATE INDEX trades_by_time ON trades (market, created_at_ms);
CREATE INDEX trades_unsettled ON trades (trade_id) WHERE state IN ('matched', 'batched');
CREATE INDEX trades_by_taker ON trades (taker_account, trade_id DESC);
CREATE INDEX trades_by_maker ON trades (maker_account, trade_id DESC);
CREATE INDEX trades_by_batch ON trades (batch_id);
CREATE INDEX trades_by_taker_order ON trades (taker_digest);
CREATE INDEX trades_by_maker_order ON trades (maker_digest);

CREATE TABLE balances (
  account bytea NOT NULL,
  asset integer NOT NULL,
  available bigint NOT NULL,
  locked bigint NOT NULL,
  pending_withdrawal bigint NOT NULL,
  unsettled_in bigint NOT NULL,
  unsettled_out bigint NOT NULL,
  settled bigint NOT NULL,
  -- chain event sequence at which `settled` last changed, 0 if it never did: reconciliation looks at what changed since
  settled_changed_at bigint NOT NULL,
  -- command that changed any figure last
  journal_sequence bigint NOT NULL,
  PRIMARY KEY (account, asset)
);
CREATE INDEX balances_settled_changed ON balances (settled_changed_at);

CREATE TABLE deposits (
  event_sequence bigint PRIMARY KEY,
  account bytea NOT NULL,
  asset integer NOT NULL,
  amount bigint NOT NULL,
  journal_sequence bigint NOT NULL,
  created_at_ms bigint NOT NULL
);
CREATE INDEX deposits_by_account ON deposits (account, event_sequence DESC);

CREATE TABLE withdrawals (
  digest bytea PRIMARY KEY,
  account bytea NOT NULL,
  asset integer NOT NULL,
  amount bigint NOT NULL,
  fee bigint NOT NULL,
  recipient bytea NOT NULL,
  native boolean NOT NULL,
  state text NOT NULL CHECK (state IN ('pending', 'batched', 'executed', 'failed')),
  reason text,
  batch_id bigint,
  journal_sequence bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL
);
CREATE INDEX withdrawals_by_account ON withdrawals (account, journal_sequence DESC);
CREATE INDEX withdrawals_by_batch ON withdrawals (batch_id);

-- The latest exit per account and asset.
CREATE TABLE exits (
  account bytea NOT NULL,
  asset integer NOT NULL,
  status text NOT NULL CHECK (status IN ('requested', 'cancelled', 'executed')),
  amount bigint NOT NULL,
  journal_sequence bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  PRIMARY KEY (account, asset)
);

CREATE TABLE listed_assets (asset integer PRIMARY KEY, definition jsonb NOT NULL);
CREATE TABLE listed_markets (
  market integer PRIMARY KEY,
  definition jsonb NOT NULL,
  state text NOT NULL,
  state_reason text NOT NULL,
  parameters jsonb NOT NULL
);
CREATE TABLE session_keys (
  account bytea NOT NULL,
  key bytea NOT NULL,
  valid_until bigint NOT NULL,
  market_mask numeric NOT NULL,
  PRIMARY KEY (account, key)
);
-- From a batch to the event that settled it, for the state of its trades between submission and finality.
CREATE INDEX chain_events_by_batch ON chain_events (((payload ->> 'batchId')::bigint)) WHERE payload ->> 'kind' = 'batchSettled';
-- Small facts of the engine: 'genesis', 'withdrawals' { halted, reason }.
CREATE TABLE engine_status (name text PRIMARY KEY, value jsonb NOT NULL);
