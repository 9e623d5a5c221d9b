"""The store on PostgreSQL."""

from storage.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
