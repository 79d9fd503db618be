-- The values that a user last entered for the parameters of a template, to prefill the
-- form. Written by the service that starts builds, without ephemeral parameters;
-- templates are not stored here.

CREATE TABLE user_build_parameters (
    user_id uuid REFERENCES users ON DELETE CASCADE,
    template_id uuid,
    name text,
    value text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, template_id, name)
);

COMMENT ON COLUMN user_build_parameters.used_at IS 'When the newest build with the parameter was started.';
