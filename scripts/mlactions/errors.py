"""What can go wrong, and the exit code each kind ends with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command; part of the public interface."""

    PASS = 0
    FAILED_CHECK = 1
    BAD_INPUT = 2
    NO_AGENT_ANSWER = 3
    BUG = 70


# Not frozen: contextlib sets `__traceback__` on the exceptions that pass through it.
@dataclass(eq=False)
class UserError(Exception):
    """Something the user can mend: what happened, why, where, and what to write instead."""

    title: str
    message: str
    hint: str = ""
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Everything on one line: `file:line: title: message. hint`."""
        where = f"{self.file}:{self.line}: " if self.file and self.line else ""
        if self.file and not self.line:
            where = f"{self.file}: "
        tail = f" {self.hint}" if self.hint else ""
        return " ".join(f"{where}{self.title}: {self.message}{tail}".split())

    @property
    def exit_code(self) -> Exit:
        """Bad input, unless a subclass says otherwise."""
        return Exit.BAD_INPUT


@dataclass(eq=False)
class AgentError(UserError):
    """The agent was required and gave no usable answer."""

    @property
    def exit_code(self) -> Exit:
        """Not the user's input, not our verdict: its own code."""
        return Exit.NO_AGENT_ANSWER


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived; raised in the main thread so that `finally` blocks run."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
