"""``tracing-config serve``: the server process, its signals and exit codes."""

import asyncio
import os
import signal
import sys
from contextlib import closing

import uvloop

from sampling.strategies_file import StrategiesFileError
from server.app import serve
from server.listeners import CannotListen
from server.setting_reader import SettingError
from server.settings import read_settings
from server.telemetry.logs import configure_logs


def run_server() -> int:
    """Run the server until a signal ends it; the exit code of the process."""

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
        settings = read_settings(os.environ)
        with closing(configure_logs(settings.log_level)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except (SettingError, StrategiesFileError, CannotListen) as error:
        print(f"tracing-config: {error}", file=sys.stderr)
        return 1
    return 0
