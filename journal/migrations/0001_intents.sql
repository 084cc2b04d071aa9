-- One text for both engines. BYTEA and BOOLEAN mean nothing to SQLite, which keeps bytes and 0 or 1 as they are given.
-- Times are milliseconds since 1970 by the database's clock; 0 is "never". A record is settled once it is done or refused.
CREATE TABLE journal_intents (
    id          TEXT    NOT NULL PRIMARY KEY, -- begins with the time, so its order is that of the claims
    tenant      TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    fingerprint TEXT    NOT NULL,
    args        TEXT    NOT NULL,
    matches     TEXT    NOT NULL,
    seq         BIGINT  NOT NULL,             -- 1, 2, ... among equal intents
    state       TEXT    NOT NULL,
    about       TEXT    NOT NULL,
    outcome     BYTEA,
    ref         TEXT,
    how         TEXT    NOT NULL DEFAULT '',
    created     BIGINT  NOT NULL,
    sent        BIGINT  NOT NULL,
    gave_up     BIGINT  NOT NULL DEFAULT 0,
    settled     BIGINT  NOT NULL DEFAULT 0,
    lease_until BIGINT  NOT NULL,
    attempts    BIGINT  NOT NULL,
    ending      TEXT    NOT NULL DEFAULT '',
    delivered   BOOLEAN NOT NULL DEFAULT FALSE,
    version     BIGINT  NOT NULL
);

-- The newest of equal intents; and of two claimants that both saw none newer, one inserts.
CREATE UNIQUE INDEX journal_intents_seq ON journal_intents (tenant, action, fingerprint, seq);
-- Whatever else goes wrong: never two unsettled records of one intent.
CREATE UNIQUE INDEX journal_intents_unsettled ON journal_intents (tenant, action, fingerprint) WHERE settled = 0;
CREATE INDEX journal_intents_rivals ON journal_intents (tenant, action, matches) WHERE settled = 0;
CREATE INDEX journal_intents_args ON journal_intents (tenant, action, args, settled) WHERE state = 'done';
CREATE UNIQUE INDEX journal_intents_ref ON journal_intents (tenant, action, ref) WHERE ref IS NOT NULL;
CREATE INDEX journal_intents_state ON journal_intents (state, settled);
