"""``tracing-config serve``: the server process, its signals and exit codes."""

import asyncio
import os
import signal
import sys

import typer

from server.settings import SettingError, read_settings


def serve() -> None:
    """Run the server. Settings are environment variables; deploy/example.env documents them."""
    # Imported here: the other commands start faster without the server's parts.
    import uvloop  # noqa: PLC0415

    from sampling.strategies_file import StrategiesFileError  # noqa: PLC0415
    from server.app import serve as serve_until  # noqa: PLC0415
    from server.telemetry.logs import configure_logs  # noqa: PLC0415

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                os._exit(1)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await serve_until(settings, stop)

    try:
        settings = read_settings(os.environ)
        configure_logs(settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except (SettingError, StrategiesFileError) as error:
        print(f"tracing-config: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
