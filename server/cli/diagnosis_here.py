"""What the doctor looks at on this machine: the settings, the data folder, the strategies file, the certificates."""

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sampling.strategies_file import StrategiesFileError
from sampling.strategies_file_reader import read_in_slices
from server.certificates import POLLS, SIDECAR
from server.cli.diagnosis import Check, Seen, Trouble, trouble_of
from server.cli.output import counted
from server.daemon_call import daemon_call
from server.disk_space import room_of
from server.setting_reader import SettingError
from server.settings import PREFIX, Settings
from server.sidecar.tokens import read_token_file
from server.strategies_file import load_bytes
from server.tls_files import CertificateError, TlsFiles, read_tls_files
from storage.pacing import paced

SOON_DAYS = 14
"""A certificate that ends earlier should have been replaced."""


def checks_here(settings: Settings, refused: Mapping[str, SettingError]) -> Iterator[Check]:
    """Each with its row, also what is off. ``refused``: what is wrong with settings, by field."""
    yield from _settings(settings, refused)
    folder, threshold = settings.data_dir.absolute(), settings.disk_threshold_bytes
    yield Check("data folder", str(folder), f"{PREFIX}DATA_DIR", partial(daemon_call, _data_folder, folder, threshold))
    file = settings.strategies_file
    look = None if file is None else partial(_strategies_file, file)
    yield Check("strategies file", "-" if file is None else str(file), f"{PREFIX}STRATEGIES_FILE", look)
    tokens = settings.tokens_file
    look = None if tokens is None else partial(daemon_call, _tokens_file, tokens)
    yield Check("tokens file", "-" if tokens is None else str(tokens), f"{PREFIX}TOKENS_FILE", look)
    for use, kind in ((POLLS, "POLL"), (SIDECAR, "SIDECAR")):
        yield _certificate(settings, use, kind, refused)


def _settings(settings: Settings, refused: Mapping[str, SettingError]) -> Iterator[Check]:
    async def fine() -> Seen:
        return Seen(f"{counted(len(settings.sources), 'variable is', 'variables are')} set")

    async def wrong(problem: str) -> Seen:
        raise trouble_of(problem, "correct it; deploy/example.env says what it may be")

    if not refused:
        yield Check("settings", "environment", PREFIX, fine)
    for error in refused.values():
        variable, _, problem = str(error).partition(": ")
        yield Check("settings", variable, variable, partial(wrong, problem))


def _data_folder(folder: Path, threshold: int) -> Seen:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"?")
        free = room_of(folder).free
    except FileNotFoundError:
        raise Trouble(
            "there is no such folder", f"`tracing-config serve` makes it; if it ran, {PREFIX}DATA_DIR is another one here"
        ) from None
    except OSError as error:
        raise Trouble(f"cannot be written: {error.strerror}", f"name a folder of this user in {PREFIX}DATA_DIR") from None
    if free < threshold:
        cure = f"make room, move {PREFIX}DATA_DIR, or lower {PREFIX}DISK_THRESHOLD_BYTES"
        raise Trouble(f"{free / 1e6:.1f} MB are free, and {threshold / 1e6:.1f} are needed", cure)
    return Seen(f"can be written, {free / 1e9:.1f} GB free")


async def _strategies_file(path: Path) -> Seen:
    try:
        data = await daemon_call(load_bytes, path)
        file = await paced(read_in_slices(data))
    except StrategiesFileError as error:
        raise trouble_of(
            str(error).removeprefix(f"{path}: "), f"`tracing-config validate {path}` tells what is wrong"
        ) from None
    advice = f"`tracing-config validate {path}` shows them" if file.warning_count else ""
    return Seen(f"{counted(len(file.services), 'service')}, {counted(file.warning_count, 'warning')}", advice)


def _tokens_file(path: Path) -> Seen:
    try:
        return Seen(counted(len(read_token_file(path)), "token"))
    except ValueError as error:
        raise trouble_of(str(error).removeprefix(f"{path}: "), f"name a file of tokens in {PREFIX}TOKENS_FILE") from None


def _certificate(settings: Settings, use: str, kind: str, refused: Mapping[str, SettingError]) -> Check:
    cert, key, client_ca, names = (
        getattr(settings, f"{kind.lower()}_tls_{part}") for part in ("cert", "key", "client_ca", "client_names")
    )
    setting = f"{PREFIX}{kind}_TLS"
    what = f"certificate of {use}"
    if cert is None:
        is_refused = any(field.startswith(f"{kind.lower()}_tls_") for field in refused)
        return Check(what, "-", f"{setting}_CERT", None, is_refused)
    files = TlsFiles(setting, cert, key, client_ca, names)
    return Check(what, str(cert), f"{setting}_CERT", partial(daemon_call, _read_certificate, files))


def _read_certificate(files: TlsFiles) -> Seen:
    try:
        leaf = read_tls_files(files, ("http/1.1",)).leaf
    except CertificateError as error:
        raise trouble_of(str(error), "name a certificate and its key, in PEM") from None
    days = (leaf.not_after - datetime.now(UTC)).days
    replace = f"replace the files of {files.setting}_CERT and _KEY; no restart is needed"
    if days < 0:
        raise Trouble(f"it ended on {leaf.not_after:%Y-%m-%d}, and clients refuse it", replace)
    return Seen(f"{counted(days, 'day')} left, for {', '.join(leaf.names[:3])}", replace if days < SOON_DAYS else "")
