-- name: InsertAudit :exec
INSERT INTO audit (seq, at, principal, key, operation, subject, front, outcome)
VALUES ((SELECT COALESCE(MAX(seq), 0) + 1 FROM audit), $1, $2, $3, $4, $5, $6, $7);
