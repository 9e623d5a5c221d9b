"""The database itself, for the commands that work on it without a server."""

import asyncio
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from server.cli.failures import Failed

if TYPE_CHECKING:
    from storage.backup import Database

Result = TypeVar("Result")


def database_of_settings() -> "Database":
    """The database that a server with the same settings would use. Raises Failed."""
    from server.setting_reader import SettingError  # noqa: PLC0415
    from server.settings import PREFIX, SQLITE_FILE, read_store_settings  # noqa: PLC0415

    try:
        settings = read_store_settings(os.environ)
    except SettingError as error:
        raise Failed(str(error)) from None
    if settings.database_url is None:
        from storage.sqlite.backup import SqliteDatabase  # noqa: PLC0415 - what the others do not need

        return SqliteDatabase(settings.data_dir / SQLITE_FILE)
    from storage.postgres.backup import PostgresDatabase  # noqa: PLC0415

    try:
        return PostgresDatabase(settings.database_url)
    except ValueError as error:
        raise Failed(f"{PREFIX}DATABASE_URL: {error}") from None


def run(work: Coroutine[Any, Any, Result], database: "Database") -> Result:
    """Do something with a database to its end.

    Raises:
        Failed: it cannot be done.
        HeadMoved: as a restore.
    """
    from storage.errors import HeadMoved, OutcomeUnknown, StoreError, StoreUnavailable  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except HeadMoved:
        raise
    except OutcomeUnknown as error:
        raise Failed(f"{error}; `tracing-config restore FILE --dry-run` tells where the store is") from None
    except StoreUnavailable as error:
        if database.name == "SQLite":
            raise Failed(str(error)) from None
        raise Failed(f"{error}; is {database.address} up, and is that TRACING_CONFIG_DATABASE_URL right?") from None
    except StoreError as error:
        raise Failed(str(error)) from None
