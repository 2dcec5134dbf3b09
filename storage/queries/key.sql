-- name: Key :one
SELECT * FROM keys WHERE id = $1;

-- name: Keys :many
SELECT * FROM keys WHERE owner = $1 ORDER BY id DESC;

-- name: InsertKey :exec
INSERT INTO keys (id, owner, name, public_key, fingerprint, created) VALUES ($1, $2, $3, $4, $5, $6);

-- name: DeleteKey :execrows
DELETE FROM keys WHERE id = $1;
