"""The log of one evaluation: written as it comes, its middle left out when it grows too long."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Self

from mlactions.text import one_line

LOG_BYTES = 2 * 1024 * 1024
TAIL_LINES = 40
LINE_CHARACTERS = 2000

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Log:
    """A log file of at most about `limit` bytes: its first half, and what came last.

    `show` gets every line of the first half, as text, the moment it is complete.
    """

    def __init__(
        self, path: Path, *, limit: int = LOG_BYTES, show: Callable[[str], None] | None = None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream: BinaryIO = path.open("wb")
        self._room = limit // 2
        self._keep = limit // 2
        self._tail = bytearray()
        self._dropped = 0
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Take what the process printed."""
        head, rest = data[: self._room], data[self._room :]
        if head:
            self._stream.write(head)
            self._stream.flush()
            self._room -= len(head)
            self._stream_lines(self._decoder.decode(head))
        if rest:
            self._tail += rest
            if len(self._tail) > 2 * self._keep:
                self._trim()

    def close(self) -> None:
        """Write the end of the log; harmless when called twice."""
        if self._stream.closed:
            return
        self._trim()
        if self._dropped:
            self._stream.write(f"\n… {self._dropped:,} bytes left out …\n".encode())
            self._stream_lines("\n… more output: see the log in the bundle\n")
        self._stream.write(self._tail)
        self._stream.close()
        if self._pending:
            self._stream_lines("\n")

    def _trim(self) -> None:
        surplus = len(self._tail) - self._keep
        if surplus > 0:
            self._dropped += surplus
            del self._tail[:surplus]

    def _stream_lines(self, text: str) -> None:
        if self._show is None:
            return
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._show(_last_state(line))


def tail(path: Path, *, lines: int = TAIL_LINES, characters: int = LINE_CHARACTERS) -> list[str]:
    """Return the last lines of a log as printable text.

    Colour codes go; of a progress bar that redraws itself only the last state stays.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - lines * characters * 4))
        text = stream.read().decode("utf-8", "replace")
    found = [_last_state(line) for line in text.rstrip().split("\n")[-lines:]]
    return [line if len(line) <= characters else line[: characters - 1] + "…" for line in found]


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    return one_line(_ESCAPE.sub("", states[-1] if states else "")).rstrip()
