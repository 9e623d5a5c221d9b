"""``tracing-config serve``: the server process, its signals and exit codes."""

import asyncio
import os
import signal
import sys

import structlog
import uvloop

from sampling.strategies_file import StrategiesFileError
from server.app import serve
from server.cli.standard_streams import occupy_closed_descriptors
from server.listeners import CannotListen
from server.setting_reader import SettingError
from server.settings import Settings, read_settings
from server.telemetry.logs import logs

_log = structlog.get_logger(__name__)

REFUSALS = (SettingError, StrategiesFileError, CannotListen)
"""What ends the process with a line on the standard error, for whoever started it."""


def run_server() -> int:
    """Run the server until a signal ends it; the exit code of the process."""
    occupy_closed_descriptors()
    try:
        settings = read_settings(os.environ)
        with logs(settings):
            return _run(settings)
    except REFUSALS as error:
        print(f"tracing-config: {error}", file=sys.stderr)
        return 1


def _run(settings: Settings) -> int:
    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                os._exit(1)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await serve(settings, stop)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except REFUSALS:
        raise
    except Exception:  # noqa: BLE001 - its traceback would not come in the form of the log
        _log.exception("the server ended through a defect")
        return 1
    return 0
