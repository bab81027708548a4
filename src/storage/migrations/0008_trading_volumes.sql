-- Up Migration
-- Settled volume by account, quote asset and UTC day (days since 1970), for fee tiers; a read model like the others.
CREATE TABLE trading_volumes (
  account bytea NOT NULL,
  asset integer NOT NULL,
  day integer NOT NULL,
  volume bigint NOT NULL,
  PRIMARY KEY (account, asset, day)
);
