-- Up Migration
-- A large snapshot is sent and written piece by piece: as one value, the engine's process would lay out tens of megabytes in one go.
-- `snapshots.body` is the first piece, these are the others in order.
CREATE TABLE snapshot_parts (
  sequence bigint NOT NULL REFERENCES snapshots ON DELETE CASCADE ON UPDATE CASCADE,
  part integer NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (sequence, part)
);
ALTER TABLE snapshot_parts ALTER COLUMN bytes SET STORAGE EXTERNAL;
