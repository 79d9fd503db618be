-- Identifiers that begin with the time (UUID version 7, RFC 9562) stand side by side in the
-- index. By chance, each new user would touch another page of it, which after a checkpoint goes
-- into the write-ahead log as a whole.

CREATE FUNCTION uuid_of_now() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        -- Version 4 becomes 7.
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
