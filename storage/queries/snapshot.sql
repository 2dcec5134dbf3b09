-- name: Snapshot :one
SELECT * FROM snapshots WHERE id = $1;

-- name: Snapshots :many
SELECT * FROM snapshots
WHERE owner = sqlc.arg(owner)
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '') AND (class = sqlc.arg(class) OR sqlc.arg(class) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: SnapshotsKept :many
SELECT * FROM snapshots
WHERE owner = sqlc.arg(owner) AND status IN ('pending', 'available')
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '') AND (class = sqlc.arg(class) OR sqlc.arg(class) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- Those whose retention ends after a time, whatever became of them.
-- name: SnapshotsSince :many
SELECT * FROM snapshots
WHERE owner = sqlc.arg(owner) AND (status IN ('pending', 'available') OR expires_at > sqlc.arg(since))
    AND (contract = sqlc.arg(contract) OR sqlc.arg(contract) = '') AND (class = sqlc.arg(class) OR sqlc.arg(class) = '')
    AND (id < sqlc.arg(after) OR sqlc.arg(after) = '')
ORDER BY id DESC LIMIT sqlc.arg(max);

-- name: DueSnapshots :many
SELECT * FROM snapshots
WHERE status IN ('available', 'error') AND expires_at > 0 AND expires_at <= sqlc.arg(now)
ORDER BY expires_at, id LIMIT sqlc.arg(max);

-- name: InsertSnapshot :exec
INSERT INTO snapshots (
    id, owner, server, name, status, region, size, image, provider_id, bytes, min_disk_gb, created, expires_at, class, contract
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15);

-- name: UpdateSnapshot :execrows
UPDATE snapshots SET
    owner = $2, server = $3, name = $4, status = $5, region = $6, size = $7, image = $8,
    provider_id = $9, bytes = $10, min_disk_gb = $11, created = $12, expires_at = $13, class = $14, contract = $15
WHERE id = $1;
