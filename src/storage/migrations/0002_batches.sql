-- Up Migration
-- Outbox between the engine (writes once, when a batch is sealed and signed) and the settlement service (reads in order).
CREATE TABLE batches (
  batch_id bigint PRIMARY KEY,
  epoch bigint NOT NULL,
  journal_sequence bigint NOT NULL,
  journal_hash bytea NOT NULL,
  parent_hash bytea NOT NULL,
  content bytea NOT NULL,
  content_hash bytea NOT NULL,
  -- keccak256(abi.encode(id, parent, contentHash, journalSequence, journalHash)): the next batch's parent
  batch_hash bytea NOT NULL,
  engine_signature bytea NOT NULL,
  trade_count integer NOT NULL,
  withdrawal_count integer NOT NULL,
  sealed_at timestamptz NOT NULL
);

-- A batch is a set of transactions: every signed transaction is persisted before it is sent (I8).
CREATE TABLE batch_transactions (
  tx_hash bytea PRIMARY KEY,
  batch_id bigint NOT NULL REFERENCES batches,
  sender bytea NOT NULL,
  tx_nonce bigint NOT NULL,
  raw bytea NOT NULL,
  max_fee_per_gas numeric NOT NULL,
  max_priority_fee_per_gas numeric NOT NULL,
  gas_limit bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_sent_at timestamptz,
  send_count integer NOT NULL DEFAULT 0,
  last_error text
);
CREATE INDEX batch_transactions_by_batch ON batch_transactions (batch_id);
CREATE INDEX batch_transactions_by_nonce ON batch_transactions (sender, tx_nonce);

-- What the settlement service knows of a batch: sealed → submitted → included → final.
CREATE TABLE settlements (
  batch_id bigint PRIMARY KEY REFERENCES batches,
  state text NOT NULL CHECK (state IN ('sealed', 'submitted', 'included', 'final')),
  tx_hash bytea,
  block_number bigint,
  block_hash bytea,
  gas_used bigint,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE submitter_lease (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  owner text NOT NULL,
  token bigint NOT NULL,
  lease_until timestamptz NOT NULL
);
INSERT INTO submitter_lease (owner, token, lease_until) VALUES ('', 0, 'epoch');
