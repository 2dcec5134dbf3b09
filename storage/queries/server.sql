-- name: Server :one
SELECT * FROM servers WHERE id = $1;

-- name: Servers :many
SELECT * FROM servers
WHERE owner = sqlc.arg(owner) AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: ServersOwnedLive :many
SELECT * FROM servers
WHERE owner = sqlc.arg(owner) AND status NOT IN ('destroyed', 'error')
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: ServersLeft :many
SELECT * FROM servers
WHERE owner = sqlc.arg(owner) AND status <> 'destroyed'
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: PoolServers :many
SELECT * FROM servers
WHERE pool = sqlc.arg(pool) AND status NOT IN ('destroyed', 'error')
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: CountPoolServers :one
SELECT COUNT(*) FROM servers
WHERE pool = sqlc.arg(pool) AND status NOT IN ('destroyed', 'error')
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '');

-- name: CountServers :one
SELECT COUNT(*) FROM servers
WHERE owner = sqlc.arg(owner) AND status NOT IN ('destroying', 'destroyed', 'error')
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '');

-- name: LiveServers :many
SELECT * FROM servers
WHERE id > sqlc.arg(after) AND status NOT IN ('destroyed', 'error')
ORDER BY id LIMIT sqlc.arg(max);

-- name: DueServers :many
SELECT * FROM servers
WHERE status NOT IN ('destroyed', 'error') AND due_at > 0 AND delivered > 0 AND due_at <= sqlc.arg(now)
ORDER BY due_at, id LIMIT sqlc.arg(max);

-- Those whose owner can pay an hour again.
-- name: RevivableServers :many
SELECT * FROM servers
WHERE status = 'suspended' AND grace_until > sqlc.arg(now) AND servers.id > sqlc.arg(after)
    AND NOT EXISTS (SELECT 1 FROM principals WHERE principals.id = servers.owner AND principals.suspended)
    AND EXISTS (
        SELECT 1 FROM ledger_accounts
        WHERE ledger_accounts.id = 'customer:' || servers.owner
            AND ledger_accounts.credited - ledger_accounts.debited - ledger_accounts.held >= servers.rate
    )
ORDER BY id LIMIT sqlc.arg(max);

-- name: InsertServer :exec
INSERT INTO servers (
    id, owner, label, status, region, size, image, snapshot, keys,
    rate, paid_until, period, renews, renewal, refundable, bought, due_at, charge, price,
    machine_id, addr, ssh_port, host_key, secrets, custom_boot, reason, created, delivered, ended,
    deposit, metered, metered_from, grace_until, contract, pool, disk_gb, forwards
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37
);

-- name: UpdateServer :execrows
UPDATE servers SET
    owner = $2, label = $3, status = $4, region = $5, size = $6, image = $7, snapshot = $8, keys = $9,
    rate = $10, paid_until = $11, period = $12, renews = $13, renewal = $14, refundable = $15, bought = $16,
    due_at = $17, charge = $18, price = $19, machine_id = $20, addr = $21, ssh_port = $22, host_key = $23,
    secrets = $24, custom_boot = $25, reason = $26, created = $27, delivered = $28, ended = $29,
    deposit = $30, metered = $31, metered_from = $32, grace_until = $33, contract = $34, pool = $35, disk_gb = $36,
    forwards = $37
WHERE id = $1;
