-- +goose Up

-- One schema for SQLite and PostgreSQL. Times are microseconds since 1970 (0:
-- never), durations are microseconds, amounts are micro-USD, structured values
-- are JSON text. An empty text means that there is none.

CREATE TABLE principals (
    id              TEXT    NOT NULL PRIMARY KEY,
    kind            TEXT    NOT NULL CHECK (kind IN ('local', 'email', 'wallet')),
    email           TEXT    NOT NULL,
    tariff          TEXT    NOT NULL CHECK (tariff IN ('retail', 'cost')),
    budget_total    BIGINT  NOT NULL CHECK (budget_total >= 0),
    budget_per_call BIGINT  NOT NULL CHECK (budget_per_call >= 0),
    server_limit    BIGINT  NOT NULL CHECK (server_limit >= 0),
    suspended       BOOLEAN NOT NULL,
    created         BIGINT  NOT NULL,
    event_seq       BIGINT  NOT NULL DEFAULT 0 -- of the newest event
);

CREATE UNIQUE INDEX principals_email ON principals (email) WHERE email <> '';
CREATE UNIQUE INDEX principals_local ON principals (kind) WHERE kind = 'local';

CREATE TABLE api_keys (
    id              TEXT   NOT NULL PRIMARY KEY,
    principal       TEXT   NOT NULL REFERENCES principals (id),
    name            TEXT   NOT NULL,
    hash            BYTEA  NOT NULL,
    budget_total    BIGINT NOT NULL CHECK (budget_total >= 0),
    budget_per_call BIGINT NOT NULL CHECK (budget_per_call >= 0),
    created         BIGINT NOT NULL,
    revoked         BIGINT NOT NULL
);

CREATE INDEX api_keys_principal ON api_keys (principal, id);

CREATE TABLE managed_keys (
    principal  TEXT  NOT NULL PRIMARY KEY REFERENCES principals (id),
    public_key TEXT  NOT NULL,
    sealed     BYTEA NOT NULL
);

-- Append-only. The sequence orders the whole ledger.
CREATE TABLE transfers (
    seq       BIGINT NOT NULL UNIQUE,
    id        TEXT   NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
    kind      TEXT   NOT NULL CHECK (kind IN ('direct', 'pending', 'post', 'void')),
    debit     TEXT   NOT NULL CHECK (debit <> ''),
    credit    TEXT   NOT NULL CHECK (credit <> ''),
    amount    BIGINT NOT NULL CHECK (amount > 0),
    pending   TEXT   UNIQUE REFERENCES transfers (id), -- NULL where nothing is resolved
    reason    TEXT   NOT NULL CHECK (reason IN ('grant', 'purchase', 'extension', 'renewal', 'service', 'refund', 'payment', 'payout')),
    ref       TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    memo      TEXT   NOT NULL CHECK (length(memo) <= 200),
    key       TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    CHECK (debit <> credit),
    CHECK ((kind IN ('post', 'void')) = (pending IS NOT NULL))
);

CREATE INDEX transfers_debit ON transfers (debit, seq);
CREATE INDEX transfers_credit ON transfers (credit, seq);
CREATE INDEX transfers_ref ON transfers (ref, seq) WHERE ref <> '';
CREATE INDEX transfers_key ON transfers (key) WHERE key <> '';
CREATE INDEX transfers_refund ON transfers (credit) WHERE reason = 'refund';

-- The running state of the accounts that may not go below zero.
CREATE TABLE ledger_accounts (
    id       TEXT   NOT NULL PRIMARY KEY,
    credited BIGINT NOT NULL CHECK (credited >= 0),
    debited  BIGINT NOT NULL CHECK (debited >= 0),
    held     BIGINT NOT NULL CHECK (held >= 0),
    CHECK (credited - debited - held >= 0 OR (substr(id, 1, 9) <> 'customer:' AND substr(id, 1, 7) <> 'escrow:'))
);

CREATE TABLE quotes (
    id        TEXT   NOT NULL PRIMARY KEY,
    principal TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    terms     TEXT   NOT NULL,
    lines     TEXT   NOT NULL,
    total     BIGINT NOT NULL CHECK (total >= 0),
    created   BIGINT NOT NULL,
    expires   BIGINT NOT NULL
);

CREATE INDEX quotes_expires ON quotes (expires);

CREATE TABLE servers (
    id          TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL REFERENCES principals (id),
    label       TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('provisioning', 'active', 'off', 'suspended', 'destroying', 'destroyed', 'error')),
    region      TEXT    NOT NULL,
    size        TEXT    NOT NULL,
    image       TEXT    NOT NULL,
    snapshot    TEXT    NOT NULL,
    keys        TEXT    NOT NULL,
    rate        BIGINT  NOT NULL CHECK (rate >= 0),
    paid_until  BIGINT  NOT NULL,
    period      TEXT    NOT NULL CHECK (period IN ('minute', 'hour', 'day', 'deposit')),
    renews      BOOLEAN NOT NULL,
    renewal     BIGINT  NOT NULL CHECK (renewal >= 0),
    refundable  BOOLEAN NOT NULL,
    bought      BIGINT  NOT NULL CHECK (bought >= 0),
    due_at      BIGINT  NOT NULL,
    charge      TEXT    NOT NULL,
    price       BIGINT  NOT NULL CHECK (price >= 0),
    machine_id  TEXT    NOT NULL,
    addr        TEXT    NOT NULL,
    ssh_port    BIGINT  NOT NULL,
    host_key    TEXT    NOT NULL,
    secrets     BYTEA   NOT NULL,
    custom_boot BOOLEAN NOT NULL,
    reason      TEXT    NOT NULL,
    created     BIGINT  NOT NULL,
    delivered   BIGINT  NOT NULL,
    ended       BIGINT  NOT NULL
);

CREATE INDEX servers_owner ON servers (owner, id);
CREATE INDEX servers_owner_live ON servers (owner, id) WHERE status NOT IN ('destroyed', 'error');
CREATE INDEX servers_live ON servers (id) WHERE status NOT IN ('destroyed', 'error');
CREATE INDEX servers_due ON servers (due_at, id)
    WHERE status NOT IN ('destroyed', 'error') AND due_at > 0 AND delivered > 0;

CREATE TABLE snapshots (
    id          TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL REFERENCES principals (id),
    server      TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    status      TEXT   NOT NULL CHECK (status IN ('pending', 'available', 'deleted', 'expired', 'error')),
    region      TEXT   NOT NULL,
    size        TEXT   NOT NULL,
    image       TEXT   NOT NULL,
    provider_id TEXT   NOT NULL,
    bytes       BIGINT NOT NULL CHECK (bytes >= 0),
    min_disk_gb BIGINT NOT NULL CHECK (min_disk_gb >= 0),
    created     BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE INDEX snapshots_owner ON snapshots (owner, id);
CREATE INDEX snapshots_owner_kept ON snapshots (owner, id) WHERE status IN ('pending', 'available');
CREATE INDEX snapshots_due ON snapshots (expires_at, id) WHERE status IN ('available', 'error') AND expires_at > 0;

CREATE TABLE keys (
    id          TEXT   NOT NULL PRIMARY KEY,
    owner       TEXT   NOT NULL REFERENCES principals (id),
    name        TEXT   NOT NULL,
    public_key  TEXT   NOT NULL,
    fingerprint TEXT   NOT NULL,
    created     BIGINT NOT NULL
);

CREATE INDEX keys_owner ON keys (owner, id);
CREATE UNIQUE INDEX keys_fingerprint ON keys (owner, fingerprint);

CREATE TABLE actions (
    id        TEXT   NOT NULL PRIMARY KEY,
    owner     TEXT   NOT NULL REFERENCES principals (id),
    kind      TEXT   NOT NULL CHECK (kind IN ('create', 'destroy', 'snapshot', 'power_on', 'power_off', 'reboot', 'resize', 'rebuild', 'delete_snapshot')),
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

CREATE INDEX actions_owner ON actions (owner, id);
CREATE INDEX actions_server ON actions (server, id) WHERE server <> '';
CREATE INDEX actions_snapshot ON actions (snapshot, id) WHERE snapshot <> '';
CREATE INDEX actions_open ON actions (id) WHERE status = 'running';

-- Append-only.
CREATE TABLE events (
    principal TEXT   NOT NULL REFERENCES principals (id),
    seq       BIGINT NOT NULL,
    kind      TEXT   NOT NULL CHECK (kind <> ''),
    subject   TEXT   NOT NULL,
    data      TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (principal, seq)
);

CREATE TABLE answers (
    principal TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    key       TEXT   NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    hash      BYTEA  NOT NULL,
    out       TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    receipt   TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (principal, operation, key)
);

CREATE INDEX answers_at ON answers (at);

-- Append-only.
CREATE TABLE audit (
    seq       BIGINT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    principal TEXT   NOT NULL,
    key       TEXT   NOT NULL,
    operation TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    front     TEXT   NOT NULL CHECK (front IN ('mcp', 'http', 'cli')),
    outcome   TEXT   NOT NULL
);

CREATE INDEX audit_principal ON audit (principal, seq);
