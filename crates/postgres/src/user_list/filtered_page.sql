-- A page of the users that match, and how many match.
--
-- NOT MATERIALIZED reads users in the order of the list until the page is full. The server
-- replaces it by MATERIALIZED where an index finds the matches (roles, and searches with a
-- trigram): it then reads all of them once, for the page and for the count.
--
-- $1 to $12: see the conditions; NULL for no such condition
-- $13 bigint  limit
-- $14 bigint  offset
WITH matching AS NOT MATERIALIZED (
    SELECT lower(username) AS key
    FROM users
    WHERE NOT deleted AND NOT is_system
      AND ($1::text IS NULL OR lower(username) >= $1)
      AND ($2::text[] IS NULL OR status = ANY ($2))
      AND ($3::text[] IS NULL OR login_type = ANY ($3))
      -- The predicates of the indexes users_with_roles_idx and users_rbac_roles_idx.
      AND ($4::text[] IS NULL OR rbac_roles && $4 AND rbac_roles <> '{}' AND cardinality(rbac_roles) > 0)
      AND ($5::timestamp IS NULL OR last_seen_at <= $5)
      AND ($6::timestamp IS NULL OR last_seen_at >= $6)
      AND ($7::timestamptz IS NULL OR created_at <= $7)
      AND ($8::timestamptz IS NULL OR created_at >= $8)
      AND ($9::bigint IS NULL OR github_com_user_id = $9)
      AND ($10::uuid[] IS NULL OR id = ANY ($10))
      -- The expression of the index users_search_idx.
      AND ($11::text IS NULL OR (lower(username) || E'\n' || lower(email)) LIKE $11)
      -- The same pattern where it could match across the line feed.
      AND ($12::text IS NULL OR lower(username) LIKE $12 OR lower(email) LIKE $12)
), page AS (
    SELECT key FROM matching ORDER BY key LIMIT $13 OFFSET $14
), size AS (
    SELECT count(*) AS n FROM page
)
SELECT users.*, page.key,
       -- A page that is not full is the last one.
       CASE WHEN n < $13 THEN n + $14 ELSE (SELECT count(*) FROM matching) END AS count
FROM size CROSS JOIN page
JOIN users ON lower(username) = key AND NOT deleted AND NOT is_system
