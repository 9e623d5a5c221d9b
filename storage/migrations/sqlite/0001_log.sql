-- oldest program: 1

CREATE TABLE schema_migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    oldest_program INTEGER NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;

-- One row: the newest revision.
CREATE TABLE store (
    only_row INTEGER PRIMARY KEY DEFAULT 1 CHECK (only_row = 1),
    store_id TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY,
    commit_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT;

-- kind is service, policy or boost; the key of a boost is its service.
CREATE TABLE changes (
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (revision, position)
) STRICT;

-- In both tables record is the canonical JSON text, which leaves defaults out; every other column about it is derived.
CREATE TABLE tracing_configurations (
    service_name TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL,
    revision INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    enabled INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(json_extract(record, '$.enabled'), 1)) STORED,
    sampling_strategy TEXT GENERATED ALWAYS AS (json_extract(record, '$.samplingStrategy')) STORED,
    managed_by TEXT GENERATED ALWAYS AS (json_extract(record, '$.managedBy')) STORED
) STRICT;

CREATE INDEX idx_tracing_config_service_enabled ON tracing_configurations (service_name, enabled) WHERE enabled;

-- The row of the boost of service X is boost:X.
CREATE TABLE sampling_policies (
    name TEXT NOT NULL PRIMARY KEY,
    record TEXT NOT NULL,
    revision INTEGER NOT NULL,
    commit_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    policy_type TEXT NOT NULL GENERATED ALWAYS AS (
        CASE WHEN substr(name, 1, 6) = 'boost:' THEN 'boost'
        ELSE coalesce(json_extract(record, '$.samplingStrategy.type'), 'operations') END
    ) STORED,
    enabled INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(json_extract(record, '$.enabled'), 1)) STORED,
    priority INTEGER NOT NULL GENERATED ALWAYS AS (coalesce(json_extract(record, '$.priority'), 0)) STORED,
    service_pattern TEXT NOT NULL GENERATED ALWAYS AS (
        CASE WHEN substr(name, 1, 6) = 'boost:' THEN substr(name, 7) ELSE json_extract(record, '$.servicePattern') END
    ) STORED,
    sampling_strategy TEXT GENERATED ALWAYS AS (json_extract(record, '$.samplingStrategy')) STORED,
    starts_at TEXT GENERATED ALWAYS AS (json_extract(record, '$.startsAt')) STORED,
    ends_at TEXT GENERATED ALWAYS AS (json_extract(record, '$.endsAt')) STORED,
    managed_by TEXT GENERATED ALWAYS AS (json_extract(record, '$.managedBy')) STORED
) STRICT;

CREATE INDEX idx_sampling_policies_type_enabled ON sampling_policies (policy_type, enabled, priority) WHERE enabled;

INSERT INTO store (store_id, revision) VALUES (lower(hex(randomblob(16))), 0);

-- The checksum of a store that holds the silent default and nothing else.
INSERT INTO revisions (revision, commit_id, created_at, actor, reason, checksum)
VALUES (
    0, lower(hex(randomblob(8))), strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
    'tracing-config', 'first migration', '5d17e0fbcd1fed6d'
);

INSERT INTO changes (revision, position, kind, key, before, after)
VALUES (0, 0, 'policy', 'default', NULL, '{"servicePattern":"*","enabled":false}');

INSERT INTO sampling_policies (name, record, revision, commit_id, created_at, updated_at)
SELECT changes.key, changes.after, revision, revisions.commit_id, revisions.created_at, revisions.created_at
FROM changes JOIN revisions USING (revision);
