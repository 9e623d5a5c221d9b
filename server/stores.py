"""What the settings name as stores: the database, Redis, and the files that their addresses are kept in."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from server import setting_values
from server.address_file import AddressFile
from server.setting_reader import SettingError
from server.settings import SQLITE_FILE, Settings
from storage.history import LoggedStore

if TYPE_CHECKING:
    from storage.hot_copy import HotCopy


class Stores:
    """Opens nothing. Imports the drivers of what is used only.

    Raises:
        SettingError: an address cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.address_files: dict[str, AddressFile] = {}
        """By the component of health that is reached by them: ``db``, ``redis``."""
        self.store = self._store()
        self.hot_copy = self._hot_copy()

    @property
    def setting(self) -> str:
        """Which variable says where the database is."""
        return self._settings.variable("data_dir" if self._settings.database_url is None else "database_url")

    def _store(self) -> LoggedStore:
        settings = self._settings
        if settings.database_url is None:
            from storage.sqlite import SqliteStore  # noqa: PLC0415

            return SqliteStore(settings.data_dir / SQLITE_FILE)
        from storage.postgres import PostgresStore  # noqa: PLC0415 - only those with PostgreSQL pay for its driver

        try:
            store = PostgresStore(settings.database_url, settings.database_pool_min, settings.database_pool_max)
        except ValueError as error:
            raise SettingError(f"{self.setting}: {error}") from None
        self._follow_file("db", "database_url", settings.database_url, setting_values.database_url, store.use)
        return store

    def _hot_copy(self) -> "HotCopy | None":
        url = self._settings.redis_url
        if url is None:
            return None
        from storage.hot_copy import HotCopy  # noqa: PLC0415 - 6 MB that only those with Redis pay

        try:
            hot_copy = HotCopy(url)
        except ValueError as error:
            raise SettingError(f"{self._settings.variable('redis_url')}: {error}") from None
        self._follow_file("redis", "redis_url", url, setting_values.redis_url, hot_copy.use)
        return hot_copy

    def _follow_file(
        self, component: str, field: str, url: str, parse: Callable[[str], str], use: Callable[[str], Awaitable[None]]
    ) -> None:
        """Use what a file says, if the address comes from one."""
        source = self._settings.sources.get(field)
        if source is not None and source.file is not None:
            self.address_files[component] = AddressFile(source.variable, source.file, url, parse, use)
