"""The line of the baseline each finding is about, in the file as the reader has it."""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.compare.model import Baseline, Finding
from mlactions.compare.result import Place

Keys = Sequence[str | int]


def places_of(
    findings: Sequence[Finding], baseline: Baseline, shown: Baseline | None = None
) -> list[Place]:
    """Return where each finding points; without a place in the file, nowhere.

    `shown` is the file that lines are those of, where the rules came from another commit. What it
    does not have any more is on no line of it.
    """
    file = baseline if shown is None else shown
    moved = file is not baseline
    return [_place(finding, baseline, file, moved=moved) for finding in findings]


def _place(finding: Finding, baseline: Baseline, file: Baseline, *, moved: bool) -> Place:
    if finding.file or not finding.keys:
        return Place(finding.file, finding.line)
    keys: Keys | None = finding.keys
    if moved and finding.keys[0] == "waivers":
        keys = _waiver(finding, file)
    if file.marked is None or keys is None:
        return Place(baseline.name)
    return Place(baseline.name, file.marked.line(keys, least=_named(keys) if moved else 0))


def _named(keys: Keys) -> int:
    """Return how many of the keys name the model, the metric or the waiver."""
    return 4 if keys[2:3] == ("metrics",) else 2


def _waiver(finding: Finding, file: Baseline) -> Keys | None:
    """Return the place of a waiver in another file, where it may have another position."""
    for position, waiver in enumerate(file.waivers):
        if (waiver.metric, waiver.model) == (finding.metric, finding.model):
            return ("waivers", position)
    return None
