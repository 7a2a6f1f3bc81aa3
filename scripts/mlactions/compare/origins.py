"""Where the numbers of a comparison come from: the provenance table of its report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mlactions.report import Block, Code, Column, Details, Inline, Paragraph, Table

MAX_ROWS = 300


def origins(result: Mapping[str, Any]) -> Block:
    """Return where rules and numbers came from, folded: one line per model and side."""
    baseline = result["baseline"]
    where = {
        "base": f"as of the base commit {baseline['ref'][:12]}",
        "head": "as of this change, because the base has none",
        "file": "as it lies on disk",
    }[baseline["from"]]
    blocks: list[Block] = [Paragraph(("Rules: ", Code(baseline["file"]), f", {where}."))]
    entries = result["provenance"][:MAX_ROWS]
    if entries:
        fields = [name for name in _FIELDS if any(name in entry["fields"] for entry in entries)]
        columns = (Column("Model"), Column("Side"), *(Column(name) for name in fields))
        blocks.append(Table(columns, tuple(_origin(entry, fields) for entry in entries)))
    return Details("Where the numbers come from", tuple(blocks))


_FIELDS = (
    "commit",
    "dirty",
    "data",
    "protocol",
    "config",
    "seeds",
    "hardware",
    "python",
    "torch",
    "measured",
)


def _origin(entry: Mapping[str, Any], fields: Sequence[str]) -> tuple[Inline, ...]:
    values = (entry["fields"].get(name, "") for name in fields)
    return (Code(entry["model"]), entry["side"], *(_brief(value) for value in values))


def _brief(value: str) -> str:
    if re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        return value[:19]
    return value[:12] if re.fullmatch(r"[0-9a-f]{40,64}", value) else value
