-- +goose Up

-- Servers and snapshots belong to the contract that they were bought through,
-- and servers to a pool. Everybody has a pool, whose id has the owner's digits.

CREATE TABLE pools (
    id          TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL REFERENCES principals (id),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    description TEXT    NOT NULL CHECK (length(description) <= 500),
    settings    TEXT    NOT NULL CHECK (length(settings) <= 4096),
    is_default  BOOLEAN NOT NULL,
    created     BIGINT  NOT NULL,
    updated     BIGINT  NOT NULL
);

CREATE INDEX pools_owner ON pools (owner, id);

INSERT INTO pools (id, owner, name, description, settings, is_default, created, updated)
SELECT 'pool_' || substr(id, 6), id, 'Default', '', '{}', TRUE, created, created FROM principals;

-- An invitation until it is joined.
CREATE TABLE pool_members (
    id         TEXT   NOT NULL PRIMARY KEY,
    pool       TEXT   NOT NULL REFERENCES pools (id),
    principal  TEXT   NOT NULL REFERENCES principals (id),
    role       BIGINT NOT NULL CHECK (role IN (1, 2)), -- user, admin
    invited_by TEXT   NOT NULL REFERENCES principals (id),
    invited    BIGINT NOT NULL,
    joined     BIGINT NOT NULL,
    UNIQUE (pool, principal)
);

CREATE INDEX pool_members_pool ON pool_members (pool, id);
CREATE INDEX pool_members_principal ON pool_members (principal, id);

ALTER TABLE servers ADD COLUMN contract TEXT NOT NULL DEFAULT 'native' CHECK (contract IN ('native', 'hourly', 'instances', 'rentals', 'deposit'));
ALTER TABLE servers ADD COLUMN pool TEXT NOT NULL DEFAULT '';
ALTER TABLE servers ADD COLUMN disk_gb BIGINT NOT NULL DEFAULT 0 CHECK (disk_gb >= 0); -- 0: its size's
ALTER TABLE servers ADD COLUMN forwards TEXT NOT NULL DEFAULT '[]';

UPDATE servers SET pool = 'pool_' || substr(owner, 6);

CREATE INDEX servers_pool ON servers (pool, id);

ALTER TABLE snapshots ADD COLUMN contract TEXT NOT NULL DEFAULT 'native' CHECK (contract IN ('native', 'hourly', 'instances', 'rentals', 'deposit'));
