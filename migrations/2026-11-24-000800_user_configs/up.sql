-- Settings of users: appearance and preferences. A setting that was never set has no row.

CREATE TABLE user_configs (
    user_id uuid REFERENCES users ON DELETE CASCADE,
    key varchar(256),
    value text NOT NULL,
    PRIMARY KEY (user_id, key)
);

COMMENT ON COLUMN user_configs.key IS 'theme_preference, terminal_font or preference_task_notification_alert_dismissed.';
