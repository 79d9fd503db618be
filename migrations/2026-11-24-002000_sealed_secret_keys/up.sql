-- By the keys that secrets are sealed with, so that a start finds at once what is plain text or
-- sealed with an older key, which nearly always is nothing.

CREATE INDEX gitsshkeys_private_key_key_id_idx ON gitsshkeys (private_key_key_id)
    WHERE private_key <> '';
CREATE INDEX user_links_oauth_access_token_key_id_idx ON user_links (oauth_access_token_key_id)
    WHERE oauth_access_token <> '';
CREATE INDEX user_links_oauth_refresh_token_key_id_idx ON user_links (oauth_refresh_token_key_id)
    WHERE oauth_refresh_token <> '';
