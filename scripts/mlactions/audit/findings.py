"""Findings beside the lines they are about: annotations, and SARIF for code scanning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions import sarif
from mlactions.runner import Annotation
from mlactions.runner import Level as Shown

FILE = "audit.sarif"
MAX_ANNOTATED = 30
_SHOWN: Mapping[str, Shown] = {"error": "error", "warning": "warning", "note": "notice"}


def marks(result: Mapping[str, Any]) -> Iterator[Annotation]:
    """Yield what is new, the worst first; notes only where there is nothing worse."""
    rows = [row for row in result["findings"] if row["level"] != "note"] or result["findings"]
    titles = {rule["id"]: rule["title"].replace("`", "") for rule in result["rules"]}
    for row in rows[:MAX_ANNOTATED]:
        message = row["message"].replace("`", "")
        where = f" (cell {row['cell']})" if row["cell"] else ""
        file = f"{result['prefix']}{row['file']}"
        title = titles[row["rule"]] + where
        yield Annotation(_SHOWN[row["level"]], message, title, file, row["line"])


def sarif_document(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new findings as SARIF, named as they stand in the repository."""
    rules = [
        sarif.Rule(
            f"audit/{rule['id']}",
            "".join(part.capitalize() for part in rule["id"].split("-")),
            rule["title"].replace("`", ""),
            f"{rule['why']}\n\n{rule['fix']}\n\n<{rule['link']}>",
            rule["level"],
        )
        for rule in result["rules"]
    ]
    seen: Counter[str] = Counter()
    results = []
    for row in result["findings"]:
        seen[row["fingerprint"]] += 1
        subject = f"{row['fingerprint']}/{seen[row['fingerprint']]}"
        file = f"{result['prefix']}{row['file']}"
        text = row["message"].replace("`", "")
        cell = f" (cell {row['cell']})" if row["cell"] else ""
        results.append(
            sarif.Result(
                f"audit/{row['rule']}", row["level"], text + cell, file, row["line"], subject
            )
        )
    return sarif.document(rules, results, category=f"audit/{result['key']}")
