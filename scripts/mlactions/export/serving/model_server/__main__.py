"""`python -m model_server`: serve the model beside this package until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import uvicorn

from .app import Service
from .connection import Connection
from .contract import read_contract
from .engine import Engine, ModelError
from .settings import SettingError, Settings, processors, read_settings


def main() -> int:
    """Return 0 after a request to stop, 1 if the model or the port failed, 2 for bad settings."""
    try:
        settings = read_settings(os.environ)
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)  # the log is not set up yet
        return 2
    count = processors()
    settings = replace(
        settings, threads=settings.threads or count, running=settings.running or count
    )
    # uvicorn hands the signal on to whoever had it before: nobody, so that we end with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return _serve(settings)


def _serve(settings: Settings) -> int:
    folder = Path(__file__).resolve().parent.parent
    failed = []

    def fail() -> None:
        failed.append(True)
        server.should_exit = True

    engine = Engine(read_contract(folder / "model.json"), folder, settings.threads)
    try:
        engine.check()  # before anything says that it has started
    except ModelError as error:
        print(f"error: the model cannot be served: {error}", file=sys.stderr)
        return 1
    Connection.head_seconds = settings.body_seconds
    server = uvicorn.Server(
        uvicorn.Config(
            Service(engine, settings, fail).application(),
            host=settings.host,
            port=settings.port,
            http=Connection,
            loop="asyncio",
            ws="none",
            lifespan="on",
            access_log=False,
            server_header=False,
            log_level=settings.log_level,
            limit_concurrency=settings.connections,
            timeout_graceful_shutdown=int(settings.shutdown_seconds) or 1,
        )
    )
    try:
        server.run()
    except SystemExit:  # the port is taken
        return 1
    return 1 if failed or not server.started else 0


if __name__ == "__main__":
    sys.exit(main())
