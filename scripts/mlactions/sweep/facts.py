"""What Codex gets to know of a sweep, and may cite by id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlactions.publish import Fact

_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")
MAX_ROWS = 200


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the verdict, the counts, the cost, the coverage and the best trials."""
    counts, found = result["counts"], result["estimate"]
    made = [
        Fact("sweep.verdict", f"{result['status']}: {result['verdict']}", result["status"]),
        Fact("sweep.trials", "trials of the sweep", counts["trials"]),
        Fact("sweep.left", "trials that are left to run", counts["left"]),
    ]
    for name, count in counts["states"].items():
        made.append(Fact(f"sweep.state.{name}", f"trials that are {name}", count))
    if found is not None and found["gpu_hours"] is not None:
        made.append(Fact("sweep.gpu_hours", "GPU hours that are left", found["gpu_hours"], "h"))
    if found is not None and found["money"] is not None:
        text = "money that the trials left will cost"
        made.append(Fact("sweep.money", text, found["money"], found["currency"]))
    for row in result["space"]["parameters"][:MAX_ROWS]:
        text = f"{row['name']}: {row['values']}" + (f", if {row['when']}" if row["when"] else "")
        made.append(Fact(_id("sweep.parameter", row["name"]), text))
    metric = result["space"]["metric"]
    for row in result["best"][:MAX_ROWS]:
        text = f"mean {metric['name']} of the configuration ranked {row['rank']}"
        made.append(Fact(f"sweep.best.{row['rank']}", text, row["mean"], data=dict(row)))
    return _unique(made)


def _id(*parts: str) -> str:
    return _NOT_IN_ID.sub("-", ".".join(parts).lower())[:190]


def _unique(found: list[Fact]) -> list[Fact]:
    return list({fact.id: fact for fact in found}.values())
