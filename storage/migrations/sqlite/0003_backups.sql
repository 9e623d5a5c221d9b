-- oldest program: 1

-- The newest backups that were made whole, for whoever asks how old the last one is. Not part of a backup themselves.
CREATE TABLE backups (
    made_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), -- what it holds was so at this moment
    place TEXT NOT NULL, -- a file's name, or a bucket and a key
    revision INTEGER, -- null: nobody knows
    bytes INTEGER,
    PRIMARY KEY (made_at, place)
) STRICT;
