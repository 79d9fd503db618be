-- The SSH key pair for git that is created with each user.

CREATE TABLE gitsshkeys (
    user_id uuid PRIMARY KEY REFERENCES users,
    private_key text NOT NULL,
    public_key text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

COMMENT ON COLUMN gitsshkeys.private_key IS 'PEM, in plain text. Leaves the service only towards a workspace of the user.';
COMMENT ON COLUMN gitsshkeys.public_key IS 'A line of authorized_keys with its line break and without a comment.';
COMMENT ON COLUMN gitsshkeys.created_at IS 'When the user got the first pair; a new pair keeps it.';
