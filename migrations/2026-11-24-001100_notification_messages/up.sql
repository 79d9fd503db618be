-- The outbox: one row per message and delivery method, written in the transaction
-- of the change that it reports. A worker claims due rows
-- (`due_at <= now() ORDER BY due_at FOR UPDATE SKIP LOCKED`), leases them, sends,
-- and records the outcome; a row whose lease expires is due again.

CREATE TABLE notification_messages (
    id uuid PRIMARY KEY,
    notification_template_id uuid NOT NULL REFERENCES notification_templates ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    method text NOT NULL
        CHECK (method IN ('smtp', 'webhook', 'inbox')),
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'leased', 'sent', 'permanent_failure', 'temporary_failure', 'unknown', 'inhibited')),
    status_reason text,
    created_by text NOT NULL,
    payload jsonb NOT NULL,
    targets uuid[],
    attempt_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz,
    leased_until timestamptz,
    leased_by uuid,
    next_retry_after timestamptz,
    due_at timestamptz GENERATED ALWAYS AS (
        CASE status
            WHEN 'pending' THEN coalesce(next_retry_after, created_at)
            WHEN 'temporary_failure' THEN coalesce(next_retry_after, created_at)
            WHEN 'leased' THEN leased_until
        END
    ) STORED,
    dedupe_hash text UNIQUE,
    CONSTRAINT notification_messages_lease_check
        CHECK (status <> 'leased' OR leased_until IS NOT NULL)
);

COMMENT ON COLUMN notification_messages.user_id IS 'The receiver.';
COMMENT ON COLUMN notification_messages.status IS 'temporary_failure is tried again; inhibited was turned off by the receiver before it was sent.';
COMMENT ON COLUMN notification_messages.status_reason IS 'For a failure: what went wrong, without secrets.';
COMMENT ON COLUMN notification_messages.created_by IS 'The part of the service that wrote the row.';
COMMENT ON COLUMN notification_messages.payload IS 'An object whose "labels" fill the template.';
COMMENT ON COLUMN notification_messages.targets IS 'The ids of what the message is about.';
COMMENT ON COLUMN notification_messages.attempt_count IS 'How often it was leased.';
COMMENT ON COLUMN notification_messages.leased_by IS 'The worker that leased it last, which alone may say what came of it.';
COMMENT ON COLUMN notification_messages.next_retry_after IS 'Not to be sent before; null for at once.';
COMMENT ON COLUMN notification_messages.due_at IS 'When a worker should take it; null when there is nothing more to do.';
COMMENT ON COLUMN notification_messages.dedupe_hash IS 'Equal for messages that say the same on the same day, of which one is kept; null for one that always goes out.';

CREATE INDEX notification_messages_due_at_idx ON notification_messages (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notification_messages_user_id_idx ON notification_messages (user_id);
-- For deleting old messages.
CREATE INDEX notification_messages_created_at_idx ON notification_messages (created_at);
