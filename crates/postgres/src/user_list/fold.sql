-- Moves the deltas into the totals. Deltas that commit meanwhile are not visible and stay.
WITH folded AS (
    DELETE FROM user_count_deltas RETURNING status, login_type, d
)
INSERT INTO user_totals (status, login_type, n)
SELECT status, login_type, sum(d) FROM folded GROUP BY status, login_type
ON CONFLICT (status, login_type) DO UPDATE SET n = user_totals.n + EXCLUDED.n
