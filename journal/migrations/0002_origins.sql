-- What an intent comes from, such as a message; '' is nothing known. Its records count up as those of equal intents do.
ALTER TABLE journal_intents ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE journal_intents ADD COLUMN origin_seq BIGINT NOT NULL DEFAULT 0; -- 1, 2, ... among those of one origin; 0: of none

-- The newest of an origin; and of two claimants that both saw none newer, one gets its place.
CREATE UNIQUE INDEX journal_intents_origin_seq ON journal_intents (tenant, action, origin, origin_seq) WHERE origin <> '';
-- Whatever else goes wrong: never two unsettled records of one origin.
CREATE UNIQUE INDEX journal_intents_origin_unsettled ON journal_intents (tenant, action, origin) WHERE origin <> '' AND settled = 0;
