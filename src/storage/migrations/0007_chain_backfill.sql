-- Up Migration

-- Backfills store events by the hundred thousand, and checking each one's block again took two fifths of that time. The indexer, the only
-- writer, stores a block and its events in one transaction and deletes them in one.
ALTER TABLE chain_events DROP CONSTRAINT chain_events_block_number_fkey;

-- Only batches are looked up by their transaction.
DROP INDEX chain_events_by_tx;
CREATE INDEX chain_events_by_tx ON chain_events (tx_hash) WHERE payload ->> 'kind' = 'batchSettled';
