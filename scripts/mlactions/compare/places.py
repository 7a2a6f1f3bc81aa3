"""The line of the baseline each finding is about, found in one pass over the file."""

from __future__ import annotations

from collections.abc import Sequence

from mlactions.compare.model import Baseline, Finding
from mlactions.compare.result import Place
from mlactions.yaml_lines import lines_of


def places_of(findings: Sequence[Finding], baseline: Baseline) -> list[Place]:
    """Return where each finding points; without a place in the file, nowhere."""
    wanted = {finding.keys for finding in findings if finding.keys}
    lines = lines_of(baseline.text, wanted) if wanted else {}
    return [
        Place(finding.file, finding.line)
        if finding.file or not finding.keys
        else Place(baseline.name, lines[finding.keys])
        for finding in findings
    ]
