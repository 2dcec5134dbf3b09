-- +goose Up

-- What the operator took back is no spending: see TakenBackFromAccount.
CREATE INDEX transfers_taken_back ON transfers (debit) WHERE credit = 'grants';
