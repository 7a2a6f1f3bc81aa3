"""A server's process: started in a thread, ended with everything it started."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlactions.errors import Interrupted
from mlactions.evaluate.logfile import Log
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.export.serving.start import Launch

_GRACE_SECONDS = 15.0


class Server:
    """The process in its own thread: a signal raises in the main thread, where it can be met."""

    def __init__(self, launch: Launch, log: Path, limits: Limits) -> None:
        self.stop = threading.Event()
        self.ended: Ended | None = None
        self.error: BaseException | None = None
        self._launch, self._log, self._limits = launch, log, limits
        self._thread = threading.Thread(target=self._run, name=launch.target)

    def _run(self) -> None:
        try:
            with Log(self._log) as log:
                self.ended = run(
                    self._launch.arguments,
                    folder=self._launch.folder,
                    environ=self._launch.environ,
                    log=log,
                    limits=self._limits,
                    stop=self.stop,
                )
        except BaseException as error:  # noqa: BLE001  # told to whoever waits
            self.error = error

    def start(self) -> None:
        """Start the thread, and in it the process."""
        self._thread.start()

    def runs(self) -> bool:
        """Say whether the process has not ended yet."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the whole process group and wait until it is gone, whatever else happens."""
        self.stop.set()
        while self._thread.ident is not None and self._thread.is_alive():
            # Another signal while we wait changes nothing: the process is being ended already.
            with contextlib.suppress(Interrupted):
                self._thread.join()


@contextmanager
def running(launch: Launch, log: Path, seconds: float) -> Iterator[Server]:
    """Start a server that lives as long as the block, and no longer than `seconds`."""
    server = Server(launch, log, Limits(seconds, _GRACE_SECONDS))
    try:
        server.start()
        yield server
    finally:
        server.close()
    if server.error is not None:
        raise server.error
