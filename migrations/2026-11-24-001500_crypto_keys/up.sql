-- Rotating keys, with which all replicas verify what any of them has signed. The newest
-- key that has started signs; each key that has not expired verifies. If two replicas
-- rotate concurrently, the primary key lets one succeed.

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
