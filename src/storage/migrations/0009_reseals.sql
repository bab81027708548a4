-- Up Migration
-- A reseal gives an id another content, while the one before may still land. So a row of batches is one content of its id, told apart from the
-- others by the command that sealed it; transactions name theirs, and so does a settlement once one has landed.
ALTER TABLE batch_transactions DROP CONSTRAINT batch_transactions_batch_id_fkey;
ALTER TABLE settlements DROP CONSTRAINT settlements_batch_id_fkey;
ALTER TABLE batches DROP CONSTRAINT batches_pkey, ADD PRIMARY KEY (batch_id, journal_sequence);

ALTER TABLE batch_transactions ADD COLUMN journal_sequence bigint;
UPDATE batch_transactions t SET journal_sequence = b.journal_sequence FROM batches b WHERE b.batch_id = t.batch_id;
ALTER TABLE batch_transactions
  ALTER COLUMN journal_sequence SET NOT NULL,
  ADD FOREIGN KEY (batch_id, journal_sequence) REFERENCES batches;

-- of the content that landed: null before that, and when it is none of ours
ALTER TABLE settlements ADD COLUMN journal_sequence bigint;
UPDATE settlements s SET journal_sequence = b.journal_sequence FROM batches b
 WHERE b.batch_id = s.batch_id AND s.state IN ('included', 'final')
   AND NOT EXISTS (SELECT FROM chain_events e
     WHERE e.payload ->> 'kind' = 'batchSettled' AND (e.payload ->> 'batchId')::bigint = b.batch_id
       AND decode(substr(e.payload ->> 'contentHash', 3), 'hex') <> b.content_hash);
ALTER TABLE settlements ADD FOREIGN KEY (batch_id, journal_sequence) REFERENCES batches;

-- What is to be settled next, in order: from the last batch that the canonical chain has settled, of the contents that name it as their parent
-- the newest, and so on from there. Contents that are in neither were replaced, or followed one that was.
CREATE VIEW pending_batches AS
WITH RECURSIVE settled AS (
  SELECT b.batch_id, b.batch_hash
    FROM chain_events e JOIN batches b
      ON b.batch_id = (e.payload ->> 'batchId')::bigint AND b.content_hash = decode(substr(e.payload ->> 'contentHash', 3), 'hex')
   WHERE e.payload ->> 'kind' = 'batchSettled'
   ORDER BY (e.payload ->> 'batchId')::bigint DESC, b.journal_sequence DESC LIMIT 1
), linked AS (
  (SELECT batch_id, 0::bigint AS journal_sequence, batch_hash FROM settled
   UNION ALL
   SELECT 0, 0, decode(repeat('00', 32), 'hex') WHERE NOT EXISTS (SELECT FROM settled))
  UNION ALL
  SELECT next.batch_id, next.journal_sequence, next.batch_hash
    FROM linked CROSS JOIN LATERAL (
      SELECT b.batch_id, b.journal_sequence, b.batch_hash FROM batches b
       WHERE b.batch_id = linked.batch_id + 1 AND b.parent_hash = linked.batch_hash
       ORDER BY b.journal_sequence DESC LIMIT 1) next
)
SELECT batch_id, journal_sequence FROM linked WHERE journal_sequence > 0;
