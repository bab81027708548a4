-- Up Migration
CREATE TABLE leader (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  epoch bigint NOT NULL,
  owner text NOT NULL,
  lease_until timestamptz NOT NULL
);
INSERT INTO leader (epoch, owner, lease_until) VALUES (0, '', 'epoch');

-- One row per group commit. The writer's single INSERT checks its epoch against leader and the hash of the row before.
CREATE TABLE journal (
  last_sequence bigint PRIMARY KEY,
  first_sequence bigint NOT NULL UNIQUE,
  epoch bigint NOT NULL,
  rules_version integer NOT NULL,
  body bytea NOT NULL,
  previous_hash bytea NOT NULL UNIQUE CHECK (length(previous_hash) = 32),
  merkle_root bytea NOT NULL CHECK (length(merkle_root) = 32),
  hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK (first_sequence <= last_sequence)
);
-- Signatures do not compress: trying it would only cost time in every commit.
ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE snapshots (
  sequence bigint PRIMARY KEY,
  rules_version integer NOT NULL,
  state_hash bytea NOT NULL CHECK (length(state_hash) = 32),
  journal_hash bytea NOT NULL CHECK (length(journal_hash) = 32),
  body bytea NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
