-- +goose Up

-- Names are unique whatever the case of their letters. Accounts from before
-- have their id, their wallet's address, or local; their owners may change it.
ALTER TABLE principals ADD COLUMN username TEXT NOT NULL DEFAULT '';
ALTER TABLE principals ADD COLUMN alias TEXT NOT NULL DEFAULT '';
ALTER TABLE principals ADD COLUMN tokens_from BIGINT NOT NULL DEFAULT 0; -- access tokens from before are refused

UPDATE principals SET username = CASE
    WHEN kind = 'local' THEN 'local'
    ELSE COALESCE((SELECT MIN(wallets.address) FROM wallets WHERE wallets.principal = principals.id AND wallets.chain = 0), id)
END;

CREATE UNIQUE INDEX principals_username ON principals (lower(username)) WHERE username <> '';

-- Hashes in PHC's format, apart from the rows that every call reads.
CREATE TABLE passwords (
    principal TEXT   NOT NULL PRIMARY KEY REFERENCES principals (id),
    hash      TEXT   NOT NULL CHECK (length(hash) BETWEEN 1 AND 500),
    changed   BIGINT NOT NULL
);

-- How often something was tried since a time, for limits that all processes
-- share.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 200),
    since BIGINT NOT NULL,
    count BIGINT NOT NULL CHECK (count >= 0)
);

CREATE INDEX counters_since ON counters (since);
