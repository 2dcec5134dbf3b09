-- name: Answer :one
SELECT * FROM answers WHERE principal = $1 AND operation = $2 AND key = $3;

-- name: InsertAnswer :exec
INSERT INTO answers (principal, operation, key, hash, out, action, receipt, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: DeleteAnswers :execrows
DELETE FROM answers WHERE at < sqlc.arg(before);
