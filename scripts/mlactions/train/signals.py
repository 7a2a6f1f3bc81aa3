"""Signals that are noted, not raised: what they ask for is done in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from mlactions.errors import Interrupted

_NOTED = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Signals:
    """The signals that came, in their order: the first asks to end, the second insists."""

    numbers: list[int] = field(default_factory=list)
    event: threading.Event = field(default_factory=threading.Event)

    @property
    def first(self) -> int:
        """The first signal's number, 0 for none."""
        return self.numbers[0] if self.numbers else 0

    @property
    def insistent(self) -> bool:
        """Whether a second signal came."""
        return len(self.numbers) > 1

    def check(self) -> None:
        """Raise what was held back."""
        if self.numbers:
            raise Interrupted(self.first)


@contextmanager
def noted(signals: Signals) -> Iterator[None]:
    """Note SIGINT and SIGTERM while inside."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _frame: FrameType | None) -> None:
        signals.numbers.append(number)
        signals.event.set()

    before = {number: signal.signal(number, note) for number in _NOTED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
