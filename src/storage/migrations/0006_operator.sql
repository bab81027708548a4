-- Up Migration
-- Decisions that operators, or services in other processes, ask of the engine. The engine journals each exactly once, in the order of id.
CREATE TABLE operator_requests (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- an OperatorCommand of the domain
  command jsonb NOT NULL,
  reason text NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- the journal's last command before the request was first handed over: an engine that starts again looks behind it before it repeats
  submitted_after bigint,
  handled_at timestamptz,
  -- of its command in the journal; null when it was refused
  journal_sequence bigint,
  -- `journaled`, or `refused: ` and why
  outcome text,
  CHECK ((handled_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX operator_requests_waiting ON operator_requests (id) WHERE handled_at IS NULL;
