-- Settings and facts of the deployment as a whole.

CREATE TABLE site_configs (
    key varchar(256) PRIMARY KEY,
    value text NOT NULL
);

COMMENT ON COLUMN site_configs.key IS 'deployment_id, or notifications_settings once somebody has set it.';
COMMENT ON COLUMN site_configs.value IS 'For notifications_settings the JSON text, compared as it stands.';

INSERT INTO site_configs (key, value) VALUES ('deployment_id', gen_random_uuid()::text);
