"""The log of changes (SQLite, PostgreSQL) and its copies (Redis, snapshot file)."""
