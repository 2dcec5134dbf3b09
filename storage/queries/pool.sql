-- name: Pool :one
SELECT * FROM pools WHERE id = $1;

-- name: Pools :many
SELECT * FROM pools WHERE owner = $1 ORDER BY id DESC;

-- name: PoolsJoined :many
SELECT * FROM pools
WHERE id IN (SELECT pool_members.pool FROM pool_members WHERE pool_members.principal = $1 AND pool_members.joined > 0)
ORDER BY id DESC;

-- name: InsertPool :exec
INSERT INTO pools (id, owner, name, description, settings, is_default, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: UpdatePool :execrows
UPDATE pools SET owner = $2, name = $3, description = $4, settings = $5, is_default = $6, created = $7, updated = $8
WHERE id = $1;

-- name: DeletePool :execrows
DELETE FROM pools WHERE id = $1;

-- name: DeletePoolMembers :exec
DELETE FROM pool_members WHERE pool = $1;

-- Each goes to its owner's own pool.
-- name: MovePoolServers :exec
UPDATE servers SET pool = 'pool_' || substr(owner, 6) WHERE pool = $1;

-- name: ReturnServers :exec
UPDATE servers SET pool = 'pool_' || substr(owner, 6) WHERE pool = $1 AND owner = $2;

-- name: Member :one
SELECT * FROM pool_members WHERE pool = $1 AND principal = $2;

-- name: Invitation :one
SELECT * FROM pool_members WHERE id = $1;

-- name: Members :many
SELECT * FROM pool_members WHERE pool = $1 ORDER BY id;

-- name: Invitations :many
SELECT * FROM pool_members WHERE principal = $1 AND joined = 0 ORDER BY id DESC LIMIT 200;

-- name: InsertMember :exec
INSERT INTO pool_members (id, pool, principal, role, invited_by, invited, joined) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: UpdateMember :execrows
UPDATE pool_members SET pool = $2, principal = $3, role = $4, invited_by = $5, invited = $6, joined = $7 WHERE id = $1;

-- name: DeleteMember :execrows
DELETE FROM pool_members WHERE id = $1;
