"""The folder that a replica keeps its files in: SQLite's, the snapshot, the admin token that was made for it."""

import structlog

from server.setting_reader import SettingError
from server.settings import PREFIX, Settings
from server.sidecar.auth import admin_token_in

_log = structlog.get_logger(__name__)


def admin_token(settings: Settings) -> str:
    """Make the data folder, and find the admin token in the settings or there.

    Raises:
        SettingError: the folder cannot be written.
    """
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
        if settings.admin_token is not None:
            return settings.admin_token
        token, made = admin_token_in(folder)
    except OSError as error:
        raise SettingError(
            f"{PREFIX}DATA_DIR: cannot write in {folder.absolute()}: {error.strerror}; name a folder of this user"
        ) from None
    if made:
        _log.info("an admin token was made", file=str(folder / "admin-token"))
    return token
