-- oldest program: 1

-- What happened to one record, and what became of each record since a revision.
CREATE INDEX idx_changes_key ON changes (key, kind, revision);

-- The few among the changes of many services.
CREATE INDEX idx_changes_not_service ON changes (kind, revision, position) WHERE kind <> 'service';

-- Stores whose place this one was told to take: replicas that serve one of them follow this one.
CREATE TABLE accepted_stores (
    store_id text PRIMARY KEY,
    accepted_at timestamptz NOT NULL DEFAULT statement_timestamp()
);
