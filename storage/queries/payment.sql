-- name: Payment :one
SELECT * FROM payments WHERE id = $1;

-- name: PaymentByClaim :one
SELECT * FROM payments WHERE rail = $1 AND uniq = $2;

-- name: PaymentByKey :one
SELECT * FROM payments WHERE principal = $1 AND operation = $2 AND key = $3 AND key <> '' AND state <> 'failed';

-- name: Payments :many
SELECT * FROM payments WHERE id > sqlc.arg(after) ORDER BY id LIMIT sqlc.arg(max);

-- name: OpenPayments :many
SELECT * FROM payments WHERE state NOT IN ('settled', 'failed') ORDER BY id LIMIT sqlc.arg(max);

-- name: TakenNonces :many
SELECT nonce FROM payments
WHERE sender = sqlc.arg(sender) AND sender <> '' AND nonce >= sqlc.arg(floor)
    AND (state NOT IN ('settled', 'failed') OR (state = 'settled' AND updated >= sqlc.arg(since)))
ORDER BY nonce;

-- name: InsertPayment :exec
INSERT INTO payments (
    id, principal, outward, rail, scheme, uniq, payer, payer_chain, amount, network, asset, payload, expires,
    operation, key, hash, state, tx_hash, sender, nonce, raw, sent, reason, held_by, held_till, created, updated
) VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
    $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27
);

-- name: UpdatePayment :execrows
UPDATE payments SET
    payload = $2, state = $3, tx_hash = $4, sender = $5, nonce = $6, raw = $7, sent = $8, reason = $9,
    held_by = $10, held_till = $11, updated = $12
WHERE id = $1;

-- What came in over a rail, or what went or is going out.
-- name: PaymentSum :one
SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payments
WHERE principal = sqlc.arg(principal) AND rail = sqlc.arg(rail) AND outward = sqlc.arg(outward) AND created >= sqlc.arg(since)
    AND payer = sqlc.arg(wallet)
    AND (state = 'settled' OR (outward AND state <> 'failed'));

-- Those that were refused and never left; expired, they can't come back.
-- name: DeleteRefused :execrows
DELETE FROM payments WHERE state = 'failed' AND tx_hash = '' AND NOT outward AND expires < sqlc.arg(before);

-- name: PayoutsOfAccount :one
SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total FROM payments
WHERE principal = $1 AND outward AND state <> 'failed';

-- name: InsertProof :exec
INSERT INTO proofs (rail, uniq, expires) VALUES ($1, $2, $3);

-- name: DeleteProofs :execrows
DELETE FROM proofs WHERE expires < sqlc.arg(before);

-- name: PrincipalByWallet :one
SELECT * FROM principals
WHERE id = (SELECT wallets.principal FROM wallets WHERE wallets.address = $1 AND wallets.chain = $2);

-- name: Wallets :many
SELECT * FROM wallets WHERE principal = $1 ORDER BY created, address;

-- name: InsertWallet :exec
INSERT INTO wallets (address, chain, principal, created) VALUES ($1, $2, $3, $4);
