-- Secrets that are read again are encrypted (AES-256-GCM) with a key from the
-- settings, or with the one in crypto_keys with the feature stored_secrets. The text is
-- base64 of nonce, ciphertext and tag. Table, column and row are authenticated
-- with it, so that it cannot be decrypted in another place.

ALTER TABLE gitsshkeys ADD COLUMN private_key_key_id text;

COMMENT ON COLUMN gitsshkeys.private_key IS 'PEM, encrypted. Leaves the service only towards a workspace of the user.';
COMMENT ON COLUMN gitsshkeys.private_key_key_id IS 'The key that the private half is encrypted with; null if it is plain text, as imports write it.';
