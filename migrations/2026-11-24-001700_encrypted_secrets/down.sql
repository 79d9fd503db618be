ALTER TABLE gitsshkeys DROP COLUMN private_key_key_id;
