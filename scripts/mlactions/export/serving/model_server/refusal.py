"""The one exception that a client gets to read."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is not answered: the HTTP status, and in a sentence why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
