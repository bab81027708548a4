-- Up Migration
-- API keys made by a wallet's signature. No secret is stored: it is HMAC(server key, key_id), so that a copy of the table signs nothing.
CREATE TABLE api_keys (
  key_id text PRIMARY KEY,
  account bytea NOT NULL CHECK (length(account) = 20),
  -- of read, cancel, trade; withdrawing always needs the owner's own signature
  scopes text[] NOT NULL,
  expires_at_ms bigint NOT NULL,
  -- digest of the signed request: the same signature makes one key, however often it is sent
  digest bytea NOT NULL UNIQUE,
  label text NOT NULL,
  created_at_ms bigint NOT NULL,
  revoked_at_ms bigint
);
CREATE INDEX api_keys_by_account ON api_keys (account);

-- One client order id, one order: claimed before the order is sent to the engine, released when the engine refuses it.
CREATE TABLE client_order_ids (
  account bytea NOT NULL CHECK (length(account) = 20),
  client_order_id text NOT NULL,
  digest bytea NOT NULL,
  -- what the order says apart from nonce, expiry and signature: a re-signed retry has the same content
  content_hash bytea NOT NULL,
  claimed_at_ms bigint NOT NULL,
  PRIMARY KEY (account, client_order_id)
);
