-- +goose Up

-- Who pays by which wallet. Chain 0 is a wallet with a key, the same everywhere.
CREATE TABLE wallets (
    address   TEXT   NOT NULL CHECK (length(address) = 42),
    chain     BIGINT NOT NULL CHECK (chain >= 0),
    principal TEXT   NOT NULL REFERENCES principals (id),
    created   BIGINT NOT NULL,
    PRIMARY KEY (address, chain)
);

CREATE INDEX wallets_principal ON wallets (principal, created, address);

CREATE TABLE payments (
    id          TEXT   NOT NULL PRIMARY KEY,
    principal   TEXT   NOT NULL REFERENCES principals (id),
    outward     BOOLEAN NOT NULL, -- a payout: from Berth to the wallet
    rail        TEXT   NOT NULL,
    scheme      TEXT   NOT NULL,
    uniq        TEXT   NOT NULL CHECK (length(uniq) BETWEEN 1 AND 200),
    payer       TEXT   NOT NULL,
    payer_chain BIGINT NOT NULL,
    amount      BIGINT NOT NULL CHECK (amount > 0),
    network     TEXT   NOT NULL,
    asset       TEXT   NOT NULL,
    payload     TEXT   NOT NULL, -- empty once the payment rests
    expires     BIGINT NOT NULL,
    operation   TEXT   NOT NULL,
    key         TEXT   NOT NULL, -- the caller's idempotency key
    hash        BYTEA  NOT NULL,
    state       TEXT   NOT NULL CHECK (state IN ('reserved', 'verified', 'broadcast', 'pending', 'settled', 'failed')),
    tx_hash     TEXT   NOT NULL,
    sender      TEXT   NOT NULL,
    nonce       BIGINT NOT NULL,
    raw         BYTEA  NOT NULL, -- empty once the payment rests
    sent        BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    held_by     TEXT   NOT NULL,
    held_till   BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    UNIQUE (rail, uniq)
);

-- A transfer of MPP's pays for one challenge. On x402 one transaction may carry
-- several authorizations.
CREATE UNIQUE INDEX payments_tx ON payments (rail, tx_hash) WHERE rail = 'mpp' AND tx_hash <> '';
-- One order under an idempotency key is paid for once, whatever it is signed with.
CREATE UNIQUE INDEX payments_key ON payments (principal, operation, key) WHERE key <> '' AND state <> 'failed';
CREATE INDEX payments_open ON payments (id) WHERE state NOT IN ('settled', 'failed');
CREATE INDEX payments_sender ON payments (sender, nonce) WHERE sender <> '';
CREATE INDEX payments_refused ON payments (expires) WHERE state = 'failed' AND tx_hash = '' AND NOT outward;
CREATE INDEX payments_principal ON payments (principal, rail, outward, created);

-- Proofs of identity that were used, until nobody would take them any more.
CREATE TABLE proofs (
    rail    TEXT   NOT NULL,
    uniq    TEXT   NOT NULL CHECK (length(uniq) BETWEEN 1 AND 200),
    expires BIGINT NOT NULL,
    PRIMARY KEY (rail, uniq)
);

CREATE INDEX proofs_expires ON proofs (expires);
