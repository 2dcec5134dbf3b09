-- name: Action :one
SELECT * FROM actions WHERE id = $1;

-- name: Actions :many
SELECT * FROM actions
WHERE CAST(sqlc.arg(closed) AS BOOLEAN) OR status = 'running'
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: ActionsOfOwner :many
SELECT * FROM actions
WHERE owner = sqlc.arg(owner) AND (CAST(sqlc.arg(closed) AS BOOLEAN) OR status = 'running')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: ActionsOfSubject :many
SELECT * FROM actions
WHERE ((server = sqlc.arg(subject) AND server <> '') OR (snapshot = sqlc.arg(subject) AND snapshot <> ''))
    AND (owner = sqlc.arg(owner) OR sqlc.arg(owner) = '')
    AND (CAST(sqlc.arg(closed) AS BOOLEAN) OR status = 'running')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: OpenActions :many
SELECT * FROM actions WHERE id > sqlc.arg(after) AND status = 'running' ORDER BY id LIMIT sqlc.arg(max);

-- name: InsertAction :exec
INSERT INTO actions (
    id, owner, kind, server, snapshot, status, stage, percent, attempt, ref, input, charge, reason,
    fence, held_by, held_till, next_at, stage_at, created, ended
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20);

-- name: UpdateAction :execrows
UPDATE actions SET
    owner = $2, kind = $3, server = $4, snapshot = $5, status = $6, stage = $7, percent = $8, attempt = $9,
    ref = $10, input = $11, charge = $12, reason = $13, fence = $14, held_by = $15, held_till = $16,
    next_at = $17, stage_at = $18, created = $19, ended = $20
WHERE id = $1;
