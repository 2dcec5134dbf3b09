-- name: Quote :one
SELECT * FROM quotes WHERE id = $1;

-- name: InsertQuote :exec
INSERT INTO quotes (id, principal, operation, terms, lines, total, created, expires, deposit)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: DeleteQuotes :execrows
DELETE FROM quotes WHERE expires < sqlc.arg(before);
