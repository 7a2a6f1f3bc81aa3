"""When a request to GitHub is sent again, and how long to wait before.

Rules: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

NO_REPLY = 0
"""The status of a request without an answer: it may have been carried out, or not."""

_LIMITED = (403, 429)
_PASSING = (NO_REPLY, 408, 500, 502, 503, 504)
_SECONDARY_WAIT = 60.0


# Not frozen: contextlib sets `__traceback__` on the exceptions that pass through it.
@dataclass(eq=False)
class Failure(Exception):  # noqa: N818  # what happened, not yet how it is reported
    """A request that did not succeed; header names are lower-case."""

    endpoint: str
    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def rate_limited(self) -> bool:
        """True for GitHub's primary and secondary limits; a plain 403 is a lack of permission."""
        if self.status not in _LIMITED:
            return False
        return (
            self.status != _LIMITED[0]
            or "retry-after" in self.headers
            or self.headers.get("x-ratelimit-remaining") == "0"
            or "rate limit" in self.message.lower()
        )

    @property
    def passing(self) -> bool:
        """True where the same request may succeed a little later."""
        return self.rate_limited or self.status in _PASSING

    def __str__(self) -> str:
        """Say what was asked, and what came back."""
        found = f"{self.status} {self.message}" if self.status else f"no reply ({self.message})"
        return f"`{self.endpoint}`: {found}"


@dataclass
class Patience:
    """Waits between attempts, and no more than `total` seconds in its whole life.

    Clock (seconds since 1970), sleep and jitter (0 up to 1) are passed in.
    """

    attempts: int = 6
    total: float = 300.0
    first: float = 1.0
    longest: float = 30.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    waited: float = 0.0

    def pause(self, failure: Failure, attempt: int) -> float | None:
        """Return the seconds to wait after `attempt` (from 1) failed; None means give up."""
        if not failure.passing or attempt >= self.attempts:
            return None
        seconds = self.asked_for(failure, attempt)
        return seconds if self.waited + seconds <= self.total else None

    def wait(self, seconds: float) -> None:
        """Sleep, and remember for how long."""
        self.waited += seconds
        self.sleep(seconds)

    def asked_for(self, failure: Failure, attempt: int) -> float:
        """Obey `retry-after`, then `x-ratelimit-reset`; without either back off, with jitter."""
        if not failure.rate_limited:
            backoff = min(self.longest, self.first * (1 << attempt - 1))
            return backoff * (1 + self.jitter()) / 2
        after = _number(failure.headers.get("retry-after"))
        if after is not None:
            return after
        reset = _number(failure.headers.get("x-ratelimit-reset"))
        if reset is not None and failure.headers.get("x-ratelimit-remaining") == "0":
            # One more second, because GitHub's clock is not ours.
            return max(0.0, reset - self.clock()) + 1
        return _SECONDARY_WAIT * (1 << attempt - 1)


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and text.isascii() and text.isdigit() else None
