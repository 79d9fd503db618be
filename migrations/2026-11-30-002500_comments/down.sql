-- The earlier texts have the same meaning.
SELECT;
