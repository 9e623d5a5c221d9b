"""What each block of the guide prints: for the shell all of these patterns, else one for each statement or expression."""

from tests.operations.output import Between, Expected

TRUE = r"^true$"

EXPECTED_BLOCKS: dict[str, list[Expected]] = {
    "Is it us, the database or the clients 1": [r"\A\Z"],
    "Is it us, the database or the clients 2": [
        (
            r"\A(http://127\.0\.0\.1:\d+  neither: look at the clients "
            r"\(stale for [0-2] s, polls answered \d+, refused 0, own failed 0\)\n){2}\Z"
        )
    ],
    "Health 1": [r'\A\{"status": ?"UP"', r'^  "status": "UP",$'],
    "Health 2": [r"\A +2 \d+-[0-9a-f]{8}\n\Z"],
    "Logs 1": [r'"message": ?"authentication failed"', r'"message": ?"ready"'],
    "Figures 1": [r'"statistic": "COUNT"', r'"jvm\.memory\.used"', r'"hikaricp\.connections\.active"', r'"cache\.gets"'],
    "Figures 2": [
        Between(0.00001, 2),
        Between(0, 0),
        Between(0.01, 90),
        Between(0, 100),
        Between(0.00001, 0.5),
        r'outcome="answered"\} => [\d.]+ @',
        Between(0, 2),
    ],
    "Alerts 1": [r"SUCCESS: \d+ rules found", r"\{\} => 0 @"],
    "Service down 1": [r'"status": ?"UP"', r'"samplingRate":0\.5'],
    "Latency 1": [r"\A[\d.e-]+\n\d", r'"statistic": "COUNT"', r"keyspace_hits:\d", r"total_exec_time"],
    "Latency 2": [r'limits:\n\s+cpu: (2000m|"2")\n\s+memory: 4Gi\n\s+requests:\n\s+cpu: (1000m|"1")\n\s+memory: 2Gi'],
    "Database 1": [
        r"accepting connections",
        r"^ +\d+ \| [0-9a-f]{8}$",
        r'"statistic": "VALUE"',
        r'"PostgreSQL"',
        r"wait_event_type",
    ],
    "Database 2": [r"\(0 rows\)", r"public +\| changes +\| \d+ kB", r"revisions_pkey +\| +\d+"],
    "Weekly 1": [r'"snapshot": "written"', TRUE, r'^  "jaeger-span-2020-01-01"$'],
    "Monthly 1": [r"\A(VACUUM\n){3}REINDEX\n\Z"],
    "Monthly 2": [r"\A\Z"],
    "A change by file 1": [r"^0 services, a default, 0 warnings$", r"^kind: ConfigMap$"],
    "A change by file 2": [r"\A +2 [0-9a-f]{64}\n\Z"],
    "A change by the API 1": [r'"param": ?0\.05', r"incident 4711", r"boost", r"checkout"],
    "Backup 1": [r"backups/tracing-config-backup-\S+\.jsonl\.gz", r"s3://exalt-backups/tracing-config/tracing-config-backup-"],
    "Backup 2": [r"\A\Z"],
    "Recovery 1": [r'"status": ?"UP"'],
    "Memory and processor 1": [r'"gc_pause_count": [\d.]+,\n +"gc_pause_total_time": [\d.e-]+,\n +"gc_pause_max": [\d.e-]+'],
    "Database connections 1": [r"idx_tracing_config_service_enabled", r"idx_sampling_policies_type_enabled", r"Execution Time"],
    "Cache 1": [r"\A[1-9]", r'"cache\.puts"', r"used_memory:\d", r"role:master", r"^tracing-config:\S+$"],
    "503 1": [r"^ready 200$", r'"db":"UP"', r"accepting connections", r'"statistic": "VALUE"'],
    "Memory 1": [
        r"^process_resident_memory_bytes ",
        r"^tracing_config_memory_limit_bytes ",
        r"^process_open_fds ",
        r"^tracing_config_services ",
    ],
    "Slow answers 1": [r'"statistic": "TOTAL_TIME"', r"mean_exec_time"],
    "Cache misses 1": [Between(1, 100)],
    "Unauthorized access 1": [r"authentication failed", r'"secrets": 1'],
    "JWT rotation 1": [r"jwt-secret: [0-9a-f]{64},the-secret-that-is-there-now-32-bytes"],
    "Processor and memory 1": [Between(3e7, 1e9), Between(0.0001, 2)],
    "Growth 1": [r"table_size", r"\d{4}-\d\d-01 .*\| +\d+ \|", r"revisions *\n[-+]+\n \d{4}-\d\d-01"],
    "Failed log-ins 1": [
        r'"reason": ?"the token is not known"',
        r'^tracing_config_authentication_failures_total\{reason="unknown-token"\} [1-9]',
    ],
    "Addresses 1": [r"^ +\d+ 127\.0\.0\.1$"],
    "Certificates 1": [r"Not After", r'"polls": "\d{4}-'],
}
