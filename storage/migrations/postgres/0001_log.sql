-- oldest program: 1

CREATE TABLE schema_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    oldest_program integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- One row. A commit locks it first, so commit order is revision order.
CREATE TABLE store (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    store_id text NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE revisions (
    revision bigint PRIMARY KEY,
    commit_id text NOT NULL,
    created_at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    checksum text NOT NULL
);

-- kind is service, policy or boost; the key of a boost is its service.
CREATE TABLE changes (
    revision bigint,
    position integer,
    kind text NOT NULL,
    key text COLLATE "C" NOT NULL,
    before text,
    after text,
    PRIMARY KEY (revision, position)
);

-- In both tables record is the canonical JSON text, which leaves defaults out; every other column about it is derived.
CREATE TABLE tracing_configurations (
    service_name text COLLATE "C" PRIMARY KEY,
    record text NOT NULL,
    revision bigint NOT NULL,
    commit_id text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    enabled boolean NOT NULL GENERATED ALWAYS AS (coalesce((record::json ->> 'enabled')::boolean, true)) STORED,
    sampling_strategy json GENERATED ALWAYS AS (record::json -> 'samplingStrategy') STORED,
    managed_by text GENERATED ALWAYS AS (record::json ->> 'managedBy') STORED
);

-- Created after the primary key: the planner takes the later one of two indexes that cost the same.
CREATE INDEX idx_tracing_config_service_enabled ON tracing_configurations (service_name, enabled) WHERE enabled;

-- The row of the boost of service X is boost:X.
CREATE TABLE sampling_policies (
    name text COLLATE "C" PRIMARY KEY,
    record text NOT NULL,
    revision bigint NOT NULL,
    commit_id text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    policy_type text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN starts_with(name, 'boost:') THEN 'boost'
        ELSE coalesce(record::json -> 'samplingStrategy' ->> 'type', 'operations') END
    ) STORED,
    enabled boolean NOT NULL GENERATED ALWAYS AS (coalesce((record::json ->> 'enabled')::boolean, true)) STORED,
    priority integer NOT NULL GENERATED ALWAYS AS (coalesce((record::json ->> 'priority')::integer, 0)) STORED,
    service_pattern text NOT NULL GENERATED ALWAYS AS (
        CASE WHEN starts_with(name, 'boost:') THEN substr(name, 7) ELSE record::json ->> 'servicePattern' END
    ) STORED,
    sampling_strategy json GENERATED ALWAYS AS (record::json -> 'samplingStrategy') STORED,
    starts_at text GENERATED ALWAYS AS (record::json ->> 'startsAt') STORED,
    ends_at text GENERATED ALWAYS AS (record::json ->> 'endsAt') STORED,
    managed_by text GENERATED ALWAYS AS (record::json ->> 'managedBy') STORED
);

CREATE INDEX idx_sampling_policies_type_enabled ON sampling_policies (policy_type, enabled, priority) WHERE enabled;

INSERT INTO store (store_id, revision) VALUES (replace(gen_random_uuid()::text, '-', ''), 0);

-- The checksum of a store that holds the silent default and nothing else.
INSERT INTO revisions (revision, commit_id, created_at, actor, reason, checksum)
VALUES (
    0, right(replace(gen_random_uuid()::text, '-', ''), 16), statement_timestamp(),
    'tracing-config', 'first migration', '5d17e0fbcd1fed6d'
);

INSERT INTO changes (revision, position, kind, key, before, after)
VALUES (0, 0, 'policy', 'default', NULL, '{"servicePattern":"*","enabled":false}');

INSERT INTO sampling_policies (name, record, revision, commit_id, created_at, updated_at)
SELECT changes.key, changes.after, revision, revisions.commit_id, revisions.created_at, revisions.created_at
FROM changes JOIN revisions USING (revision);
