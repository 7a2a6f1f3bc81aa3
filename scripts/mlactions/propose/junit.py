"""Which tests ran and how each ended, from the JUnit XML that test runners write. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal
from xml.etree import ElementTree as ET

Outcome = Literal["passed", "failed", "not-run"]

MAX_BYTES = 32 * 1024 * 1024


def outcomes(text: str) -> dict[str, Outcome]:
    """Return how each test ended, by class name and own name as reported, parameters taken off.

    Of parameters the worst counts; a skipped test did not run. Raises ValueError for text that is
    no XML, or declares entities.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("it declares entities")
    try:
        root = ET.fromstring(text)  # noqa: S314  # no declarations: nothing can be expanded
    except ET.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from None
    found: dict[str, Outcome] = {}
    for case in root.iter("testcase"):
        function = (case.get("name") or "").partition("[")[0]
        name = f"{case.get('classname') or ''}.{function}".lstrip(".")
        found[name] = _worst(found.get(name), _outcome(case))
    return found


def of_test(found: Mapping[str, Outcome], path: str, name: str) -> Outcome | None:
    """Return how one test of a file ended, `test_a` or `TestB.test_a`; None if it is not there."""
    wanted = f"{PurePosixPath(path).stem}.{name}"
    ended = [how for key, how in found.items() if f".{key}".endswith(f".{wanted}")]
    worst: Outcome | None = None
    for how in ended:
        worst = _worst(worst, how)
    return worst


def _outcome(case: ET.Element) -> Outcome:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "not-run" if "skipped" in kinds else "passed"


def _worst(before: Outcome | None, now: Outcome) -> Outcome:
    order: tuple[Outcome, ...] = ("failed", "not-run", "passed")
    return now if before is None else min(before, now, key=order.index)
