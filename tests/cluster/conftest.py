"""Who ends the tests of clusters ends their daemons, too."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def ended_like_an_interrupt() -> Iterator[None]:
    """Let SIGTERM run the fixtures' ends, as Ctrl-C does: daemons outlive a process that dies."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)
