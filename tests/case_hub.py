"""The Hub of a golden case: `hub.json` beside its `command`, as `fakes.hub.from_data` reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlactions.discover import hub as hub_module
from tests.fakes.hub import FakeHub, from_data

SHOWN_URL = "https://hub.example"


@contextmanager
def hub_of(case: Path) -> Iterator[FakeHub | None]:
    """Serve the Hub that a case describes, if it does; nothing is waited for."""
    described = case / "hub.json"
    if not described.is_file():
        yield None
        return
    data = json.loads(described.read_text(encoding="utf-8"))
    with from_data(data) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "WAITS", ())
        yield hub


def with_hub(hub: FakeHub | None, written: Mapping[str, str]) -> dict[str, str]:
    """Return what was written with an address of the Hub that stays the same."""
    if hub is None:
        return dict(written)
    return {path: text.replace(hub.url, SHOWN_URL) for path, text in written.items()}
