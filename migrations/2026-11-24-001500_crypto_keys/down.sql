DROP TABLE crypto_keys;
