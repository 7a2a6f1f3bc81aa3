"""The line of the baseline each finding is about, found in one pass over the file."""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.compare.model import Baseline, Finding
from mlactions.compare.result import Place
from mlactions.schema import line_of

MAX_PLACED = 200


def places_of(findings: Sequence[Finding], baseline: Baseline) -> list[Place]:
    """Return where each finding points; only MAX_PLACED of them get a line."""
    placed = 0
    found = []
    for finding in findings:
        if not finding.keys:
            found.append(Place())
        elif placed >= MAX_PLACED:
            found.append(Place(baseline.name))
        else:
            placed += 1
            found.append(Place(baseline.name, line_of(baseline.text, finding.keys)))
    return found
