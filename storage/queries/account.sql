-- name: Principal :one
SELECT * FROM principals WHERE id = $1;

-- name: PrincipalByEmail :one
SELECT * FROM principals WHERE email = $1 AND email <> '';

-- name: PrincipalByUsername :one
SELECT * FROM principals WHERE lower(username) = lower(sqlc.arg(username)) AND username <> '';

-- name: LocalPrincipal :one
SELECT * FROM principals WHERE kind = 'local';

-- name: Principals :many
SELECT * FROM principals WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(max);

-- An update that changes nothing locks the row on every engine.
-- name: LockPrincipal :execrows
UPDATE principals SET event_seq = event_seq WHERE id = $1;

-- name: InsertPrincipal :exec
INSERT INTO principals (
    id, kind, email, tariff, budget_total, budget_per_call, server_limit, suspended, created, username, alias, tokens_from
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: UpdatePrincipal :execrows
UPDATE principals SET
    kind = $2, email = $3, tariff = $4, budget_total = $5, budget_per_call = $6, server_limit = $7,
    suspended = $8, created = $9, username = $10, alias = $11, tokens_from = $12
WHERE id = $1;

-- name: APIKey :one
SELECT * FROM api_keys WHERE id = $1;

-- name: APIKeys :many
SELECT * FROM api_keys WHERE principal = $1 ORDER BY id DESC;

-- name: InsertAPIKey :exec
INSERT INTO api_keys (id, principal, name, hash, budget_total, budget_per_call, created, revoked)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: UpdateAPIKey :execrows
UPDATE api_keys SET
    principal = $2, name = $3, hash = $4, budget_total = $5, budget_per_call = $6, created = $7, revoked = $8
WHERE id = $1;

-- name: ManagedKey :one
SELECT * FROM managed_keys WHERE principal = $1;

-- name: InsertManagedKey :exec
INSERT INTO managed_keys (principal, public_key, sealed) VALUES ($1, $2, $3);

-- name: Password :one
SELECT hash FROM passwords WHERE principal = $1;

-- name: PutPassword :exec
INSERT INTO passwords (principal, hash, changed) VALUES ($1, $2, $3)
ON CONFLICT (principal) DO UPDATE SET hash = excluded.hash, changed = excluded.changed;

-- name: MoveWallet :execrows
UPDATE wallets SET principal = sqlc.arg(principal) WHERE address = sqlc.arg(address) AND chain = sqlc.arg(chain);

-- name: CountOpenPayments :one
SELECT COUNT(*) FROM payments WHERE principal = $1 AND state NOT IN ('settled', 'failed');
