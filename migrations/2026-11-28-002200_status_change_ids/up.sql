-- Identifiers that begin with the time (UUID version 7, RFC 9562) are adjacent in the index.
-- With random ones, each new user would change another page of it, and after a checkpoint the
-- write-ahead log includes each changed page as a whole.

CREATE FUNCTION uuid_of_now() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        -- Changes version 4 to 7.
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(
                    int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3
                )
                FROM 1 FOR 6
            ), 52, 1), 53, 1),
        'hex')::uuid
$$;

COMMENT ON FUNCTION uuid_of_now() IS 'A new identifier: UUID version 7.';

ALTER TABLE user_status_changes ALTER COLUMN id SET DEFAULT uuid_of_now();
ALTER TABLE user_deleted ALTER COLUMN id SET DEFAULT uuid_of_now();
