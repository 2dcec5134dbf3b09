-- +goose Up

-- Leases that are metered out of an escrow, hourly ones with a grace, snapshots
-- with a retention class. A CHECK can't be changed in place everywhere, so the
-- tables whose lists of values grow are made anew.

ALTER TABLE servers ADD COLUMN deposit BIGINT NOT NULL DEFAULT 0 CHECK (deposit >= 0);
ALTER TABLE servers ADD COLUMN metered BIGINT NOT NULL DEFAULT 0 CHECK (metered >= 0);
ALTER TABLE servers ADD COLUMN metered_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE servers ADD COLUMN grace_until BIGINT NOT NULL DEFAULT 0;

CREATE INDEX servers_suspended ON servers (id) WHERE status = 'suspended';

ALTER TABLE snapshots ADD COLUMN class TEXT NOT NULL DEFAULT 'snapshot' CHECK (class IN ('snapshot', 'backup'));

ALTER TABLE quotes ADD COLUMN deposit BIGINT NOT NULL DEFAULT 0 CHECK (deposit >= 0);

CREATE TABLE actions_new (
    id        TEXT   NOT NULL PRIMARY KEY,
    owner     TEXT   NOT NULL REFERENCES principals (id),
    kind      TEXT   NOT NULL CHECK (kind IN ('create', 'destroy', 'snapshot', 'power_on', 'power_off', 'reboot', 'resize', 'rebuild', 'delete_snapshot', 'suspend', 'revive')),
    server    TEXT   NOT NULL,
    snapshot  TEXT   NOT NULL,
    status    TEXT   NOT NULL CHECK (status IN ('running', 'completed', 'failed')),
    stage     TEXT   NOT NULL,
    percent   BIGINT NOT NULL CHECK (percent BETWEEN 0 AND 100),
    attempt   BIGINT NOT NULL CHECK (attempt >= 0),
    ref       TEXT   NOT NULL,
    input     TEXT   NOT NULL,
    charge    TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    fence     BIGINT NOT NULL CHECK (fence >= 0),
    held_by   TEXT   NOT NULL,
    held_till BIGINT NOT NULL,
    next_at   BIGINT NOT NULL,
    stage_at  BIGINT NOT NULL,
    created   BIGINT NOT NULL,
    ended     BIGINT NOT NULL
);

INSERT INTO actions_new SELECT * FROM actions;
DROP TABLE actions;
ALTER TABLE actions_new RENAME TO actions;

CREATE INDEX actions_owner ON actions (owner, id);
CREATE INDEX actions_server ON actions (server, id) WHERE server <> '';
CREATE INDEX actions_snapshot ON actions (snapshot, id) WHERE snapshot <> '';
CREATE INDEX actions_open ON actions (id) WHERE status = 'running';

CREATE TABLE transfers_new (
    seq       BIGINT NOT NULL UNIQUE,
    id        TEXT   NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
    kind      TEXT   NOT NULL CHECK (kind IN ('direct', 'pending', 'post', 'void')),
    debit     TEXT   NOT NULL CHECK (debit <> ''),
    credit    TEXT   NOT NULL CHECK (credit <> ''),
    amount    BIGINT NOT NULL CHECK (amount > 0),
    pending   TEXT   UNIQUE REFERENCES transfers_new (id), -- NULL where nothing is resolved
    reason    TEXT   NOT NULL CHECK (reason IN ('grant', 'purchase', 'extension', 'renewal', 'service', 'refund', 'payment', 'payout', 'deposit', 'usage')),
    ref       TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    memo      TEXT   NOT NULL CHECK (length(memo) <= 200),
    key       TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    CHECK (debit <> credit),
    CHECK ((kind IN ('post', 'void')) = (pending IS NOT NULL))
);

INSERT INTO transfers_new SELECT * FROM transfers ORDER BY seq;
DROP TABLE transfers;
ALTER TABLE transfers_new RENAME TO transfers;

CREATE INDEX transfers_debit ON transfers (debit, seq);
CREATE INDEX transfers_credit ON transfers (credit, seq);
CREATE INDEX transfers_ref ON transfers (ref, seq) WHERE ref <> '';
CREATE INDEX transfers_key ON transfers (key) WHERE key <> '';
CREATE INDEX transfers_refund ON transfers (credit) WHERE reason = 'refund';
CREATE INDEX transfers_taken_back ON transfers (debit) WHERE credit = 'grants';
