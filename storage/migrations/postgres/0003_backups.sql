-- oldest program: 1

-- The newest backups that were made whole, for whoever asks how old the last one is. Not part of a backup themselves.
CREATE TABLE backups (
    made_at timestamptz NOT NULL DEFAULT statement_timestamp(), -- what it holds was so at this moment, by the store's clock
    place text NOT NULL, -- a file's name, or a bucket and a key
    revision bigint, -- null: nobody knows
    bytes bigint,
    PRIMARY KEY (made_at, place)
);
