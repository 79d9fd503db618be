-- Notifications in the inboxes of users, with their rendered texts.

CREATE TABLE inbox_notifications (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    template_id uuid NOT NULL REFERENCES notification_templates ON DELETE CASCADE,
    targets uuid[],
    title text NOT NULL,
    content text NOT NULL,
    icon text NOT NULL,
    actions jsonb NOT NULL,
    read_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON COLUMN inbox_notifications.targets IS 'The ids of what the message is about.';
COMMENT ON COLUMN inbox_notifications.icon IS 'A URL or path; empty for the icon of its kind.';
COMMENT ON COLUMN inbox_notifications.actions IS 'An array of {"label", "url"}, or the JSON null.';
COMMENT ON COLUMN inbox_notifications.read_at IS 'Null while unread.';

CREATE INDEX inbox_notifications_user_id_created_at_id_idx ON inbox_notifications (user_id, created_at DESC, id DESC);
CREATE INDEX inbox_notifications_user_id_template_id_created_at_idx ON inbox_notifications (user_id, template_id, created_at DESC);
CREATE INDEX inbox_notifications_user_id_unread_idx ON inbox_notifications (user_id, created_at DESC) WHERE read_at IS NULL;
CREATE INDEX inbox_notifications_targets_idx ON inbox_notifications USING gin (targets) WHERE targets IS NOT NULL;
