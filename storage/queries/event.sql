-- name: NextEventSeq :one
UPDATE principals SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq;

-- name: InsertEvent :exec
INSERT INTO events (principal, seq, kind, subject, data, at) VALUES ($1, $2, $3, $4, $5, $6);

-- name: Events :many
SELECT * FROM events WHERE principal = $1 AND seq > sqlc.arg(after) ORDER BY seq LIMIT sqlc.arg(max);
