"""Listings that come page by page, and the ones that would never end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlactions.mlflow_store.model import FIRST_PAGE, PAGE, PAGE_VALUES, Run, StoreError

MAX_IDLE = 100
"""Pages in a row that bring nothing new; a server that filters may send some."""


@dataclass
class Pages:
    """The pages of one listing, by the tokens that lead to them."""

    uri: str
    token: str | None = None
    _seen: set[str] = field(default_factory=set)
    _idle: int = 0

    def turn(self, token: str | None, *, fresh: bool) -> bool:
        """Go on to the page of a token; False where there is none.

        `fresh` says whether the page before it held anything new. Raises StoreError for a token
        that led to a page before, however long ago, and for a listing that only goes on.
        """
        self._idle = 0 if fresh else self._idle + 1
        if token and token in self._seen:
            raise self._without_end("one of its pages leads back to one that was read")
        if token and self._idle >= MAX_IDLE:
            raise self._without_end(f"{MAX_IDLE} of its pages in a row brought nothing new")
        if token:
            self._seen.add(token)
        self.token = token or None
        return bool(token)

    @staticmethod
    def size_after(page: Sequence[Run], limit: int | None) -> int:
        """Return how many runs to ask for next, by how much those of a page hold."""
        values = sum(len(run.params) + len(run.metrics) + len(run.tags) for run in page)
        fitting = PAGE_VALUES * len(page) // max(values, 1)
        return min(max(fitting, FIRST_PAGE), PAGE, *([] if limit is None else [limit]))

    def _without_end(self, why: str) -> StoreError:
        hint = "Ask whoever runs the server, or what lies before it, for its log."
        return StoreError("pages without an end", f"{self.uri}: {why}.", hint, state="failed")
