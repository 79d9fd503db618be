-- Rotating keys, by which the service recognizes what it has signed itself, on
-- whichever replica. The newest that has started signs; any that is not past its
-- end verifies. Two replicas that rotate at once meet at the primary key.

CREATE TABLE crypto_keys (
    feature text,
    sequence integer,
    secret text,
    starts_at timestamptz NOT NULL,
    deletes_at timestamptz,
    PRIMARY KEY (feature, sequence)
);

COMMENT ON COLUMN crypto_keys.feature IS 'What the key is for, such as oidc_convert. Not a closed list, so that a new use needs no migration.';
COMMENT ON COLUMN crypto_keys.sequence IS 'Counts up within the feature; signed things name it.';
COMMENT ON COLUMN crypto_keys.secret IS 'In hexadecimal. Null once deletes_at is past: the number stays used.';
COMMENT ON COLUMN crypto_keys.starts_at IS 'Signs from then on; a little ahead, so that all replicas have it.';
COMMENT ON COLUMN crypto_keys.deletes_at IS 'The end; null for the key in use.';
