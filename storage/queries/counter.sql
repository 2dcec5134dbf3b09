-- name: Counter :one
SELECT count FROM counters WHERE name = $1 AND since = $2;

-- A count of another time begins anew.
-- name: CountUp :one
INSERT INTO counters (name, since, count) VALUES ($1, $2, 1)
ON CONFLICT (name) DO UPDATE SET
    count = CASE WHEN counters.since = excluded.since THEN counters.count + 1 ELSE 1 END,
    since = excluded.since
RETURNING count;

-- name: DeleteCounters :execrows
DELETE FROM counters WHERE since < sqlc.arg(before);
