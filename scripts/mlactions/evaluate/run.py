"""Running the evaluations: several at a time, one line for each, none of them stops another."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from mlactions.errors import Interrupted
from mlactions.evaluate.collect import minutes
from mlactions.evaluate.records import Outcome, Record, Task
from mlactions.text import one_line

Perform = Callable[[Task, threading.Event], Record]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Progress:
    """`[3/12] vit_small seed 1: ok, 41.2 s, val_accuracy 0.981, about 6 min left`."""

    total: int
    jobs: int
    say: Callable[[str], None]
    preferred: Callable[[str], Sequence[str]]
    _done: int = 0
    _run: int = 0
    _seconds: float = 0.0

    def report(self, record: Record) -> None:
        """Print the line of an evaluation that has ended."""
        self._done += 1
        if not record.cached:
            self._run += 1
            self._seconds += record.seconds
        parts = [str(record.outcome), f"{record.seconds:.1f} s"]
        if record.cached:
            parts = [str(record.outcome), "from the cache"]
        left = "" if record.outcome is Outcome.INTERRUPTED else self._left()
        parts += [part for part in (self._metric(record), left) if part]
        line = f"[{self._done}/{self.total}] {record.task.label}: {', '.join(parts)}"
        # A metric's name is the user's text: it must not begin a line of its own.
        self.say(one_line(line if record.ok or not record.detail else f"{line}: {record.detail}"))

    def _metric(self, record: Record) -> str:
        names = [
            name for name in self.preferred(record.task.config.model) if name in record.metrics
        ]
        for name in (*names, *record.metrics):
            values = record.metrics[name]
            return f"{name} {sum(values) / len(values):.4g}"
        return ""

    def _left(self) -> str:
        """Guess from the mean so far; silent for what is over within seconds."""
        waiting = self.total - self._done
        mean = self._seconds / max(self._run, 1)
        seconds = waiting * mean / max(1, min(self.jobs, waiting))
        return f"about {minutes(round(seconds))} left" if seconds >= 5 else ""  # noqa: PLR2004


@dataclass
class Stop:
    """Signals that arrived while something had to be finished first."""

    number: int | None = None
    event: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise what was held back."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def held_signals(stop: Stop) -> Iterator[None]:
    """Note SIGINT and SIGTERM instead of raising: whoever runs inside is never cut off halfway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, _frame: FrameType | None) -> None:
        stop.number = stop.number or number
        stop.event.set()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_all(
    tasks: Sequence[Task],
    perform: Perform,
    *,
    jobs: int,
    stop: Stop,
    ended: Callable[[Record], None],
) -> tuple[Record, ...]:
    """Return a record for every task, in their order, also when `stop` is set halfway.

    `perform` runs in threads. `ended` is called in the caller's thread, in order of completion.
    """
    records: dict[int, Record] = {}
    with ThreadPoolExecutor(jobs) as pool:
        futures: dict[Future[Record], int] = {
            pool.submit(_perform, perform, task, stop.event): number
            for number, task in enumerate(tasks)
        }
        try:
            for future in as_completed(futures):
                records[futures[future]] = record = future.result()
                if record.outcome is not Outcome.NOT_RUN:
                    ended(record)
        except BaseException:
            stop.event.set()
            raise
    return tuple(records[number] for number in range(len(tasks)))


def _perform(perform: Perform, task: Task, stop: threading.Event) -> Record:
    if stop.is_set():
        return Record(task, Outcome.NOT_RUN, "the check was stopped before its turn")
    return perform(task, stop)
