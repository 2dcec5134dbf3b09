-- name: LedgerAccount :one
SELECT * FROM ledger_accounts WHERE id = $1;

-- name: LedgerAccounts :many
SELECT * FROM ledger_accounts ORDER BY id;

-- name: PutLedgerAccount :exec
INSERT INTO ledger_accounts (id, credited, debited, held) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET credited = excluded.credited, debited = excluded.debited, held = excluded.held;

-- Nothing is ever deleted, so the next number leaves no gap.
-- name: InsertTransfer :exec
INSERT INTO transfers (
    seq, id, kind, debit, credit, amount, pending, reason, ref, operation, memo, key, at
) VALUES (
    (SELECT COALESCE(MAX(seq), 0) + 1 FROM transfers), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
);

-- name: Transfer :one
SELECT * FROM transfers WHERE id = $1;

-- name: Resolution :one
SELECT * FROM transfers WHERE pending = $1;

-- name: Entries :many
SELECT * FROM transfers
WHERE seq < sqlc.arg(before) AND at >= sqlc.arg(since)
ORDER BY seq DESC LIMIT sqlc.arg(max);

-- name: EntriesOfRef :many
SELECT * FROM transfers
WHERE ref = sqlc.arg(ref) AND ref <> '' AND seq < sqlc.arg(before) AND at >= sqlc.arg(since)
ORDER BY seq DESC LIMIT sqlc.arg(max);

-- name: EntriesOfRefAndAccount :many
SELECT * FROM transfers
WHERE ref = sqlc.arg(ref) AND ref <> '' AND seq < sqlc.arg(before) AND at >= sqlc.arg(since)
    AND (debit = sqlc.arg(account) OR credit = sqlc.arg(account))
ORDER BY seq DESC LIMIT sqlc.arg(max);

-- Two ordered scans: one over both columns would sort an account's whole history.
-- name: EntriesOfAccount :many
SELECT * FROM transfers
WHERE seq IN (
    SELECT debits.seq FROM (
        SELECT d.seq FROM transfers AS d
        WHERE d.debit = sqlc.arg(account) AND d.seq < sqlc.arg(before) AND d.at >= sqlc.arg(since)
        ORDER BY d.seq DESC LIMIT sqlc.arg(max)
    ) AS debits
    UNION ALL
    SELECT credits.seq FROM (
        SELECT c.seq FROM transfers AS c
        WHERE c.credit = sqlc.arg(account) AND c.seq < sqlc.arg(before) AND c.at >= sqlc.arg(since)
        ORDER BY c.seq DESC LIMIT sqlc.arg(max)
    ) AS credits
)
ORDER BY seq DESC LIMIT sqlc.arg(max);

-- name: LedgerTotals :many
SELECT
    account,
    CAST(SUM(credited) AS BIGINT) AS credited,
    CAST(SUM(debited) AS BIGINT) AS debited,
    CAST(SUM(held) AS BIGINT) AS held
FROM (
    SELECT credit AS account, amount AS credited, 0 AS debited, 0 AS held
    FROM transfers WHERE kind IN ('direct', 'post')
    UNION ALL
    SELECT debit AS account, 0 AS credited, amount AS debited, 0 AS held
    FROM transfers WHERE kind IN ('direct', 'post')
    UNION ALL
    SELECT hold.debit AS account, 0 AS credited, 0 AS debited, hold.amount AS held
    FROM transfers AS hold
    WHERE hold.kind = 'pending'
        AND NOT EXISTS (SELECT 1 FROM transfers AS resolution WHERE resolution.pending = hold.id)
) AS movements
GROUP BY account ORDER BY account;

-- A hold counts as what it was posted for, or whole while it is open.
-- name: DebitsOfKey :one
SELECT CAST(COALESCE(SUM(CASE
    WHEN resolution.kind = 'post' THEN resolution.amount
    WHEN resolution.kind = 'void' THEN 0
    ELSE transfers.amount END), 0) AS BIGINT) AS total
FROM transfers LEFT JOIN transfers AS resolution ON resolution.pending = transfers.id
WHERE transfers.key = sqlc.arg(key) AND transfers.key <> ''
    AND transfers.debit = sqlc.arg(account) AND transfers.kind IN ('direct', 'pending');

-- name: RefundsOfAccount :one
SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total
FROM transfers WHERE credit = $1 AND reason = 'refund' AND kind IN ('direct', 'post');

-- name: TakenBackFromAccount :one
SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total
FROM transfers WHERE debit = $1 AND credit = 'grants' AND kind = 'direct';

-- name: RefundsOfKey :one
SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS total
FROM transfers
WHERE key = sqlc.arg(key) AND key <> ''
    AND credit = sqlc.arg(account) AND reason = 'refund' AND kind IN ('direct', 'post');
