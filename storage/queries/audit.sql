-- name: InsertAudit :exec
INSERT INTO audit (seq, at, principal, key, operation, subject, front, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
