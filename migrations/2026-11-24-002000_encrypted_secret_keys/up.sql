-- Indexes on the encryption keys of secrets, so that a start quickly finds the secrets that are
-- plain text or encrypted with an older key. Usually there are none.

CREATE INDEX gitsshkeys_private_key_key_id_idx ON gitsshkeys (private_key_key_id)
    WHERE private_key <> '';
CREATE INDEX user_links_oauth_access_token_key_id_idx ON user_links (oauth_access_token_key_id)
    WHERE oauth_access_token <> '';
CREATE INDEX user_links_oauth_refresh_token_key_id_idx ON user_links (oauth_refresh_token_key_id)
    WHERE oauth_refresh_token <> '';
