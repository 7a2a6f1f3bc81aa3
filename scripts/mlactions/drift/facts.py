"""What Codex gets to know of a drift check, and may cite by id."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.drift.result import called
from mlactions.publish import Fact

MAX_ROWS = 300
MAX_METRICS = 50
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the verdict, the deployed run with its metrics, and all that is not the same."""
    made = [Fact("drift.verdict", f"{result['status']}: {result['verdict']}", result["status"])]
    run = result["deployed"]
    if run is not None:
        made.append(
            Fact(
                "drift.run", f"the deployed run is {run['run_id']}", run["run_id"], data=_about(run)
            )
        )
        made += _metrics(run["metrics"])
    taken = {fact.id for fact in made}
    rows = [row for row in result["rows"] if row["state"] not in {"same", "ignored"}]
    for row in rows[:MAX_ROWS]:
        made.append(_row(row, taken))
    for finding in result["findings"]:
        text = finding["message"].replace("`", "")
        made.append(Fact(_unique(f"drift.finding.{finding['reason']}", taken), text))
    return made


def _about(run: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "status", "started", "model", "version", "parameters")
    return {name: run[name] for name in names if run[name]}


def _metrics(metrics: Mapping[str, str]) -> Iterator[Fact]:
    for name, text in sorted(metrics.items())[:MAX_METRICS]:
        value = float(text)
        slug = _NOT_IN_ID.sub("-", name.lower())[:150]
        yield Fact(
            id=f"drift.metric.{slug}",
            text=f"the deployed run ended with {name} at {text}",
            value=value if math.isfinite(value) else text,
            metric=name,
        )


def _row(row: Mapping[str, Any], taken: set[str]) -> Fact:
    slug = _NOT_IN_ID.sub("-", f"drift.{row['kind']}.{row['name']}".lower())[:180]
    return Fact(
        id=_unique(slug, taken),
        text=_text(row),
        value=row["current"] or row["logged"] or None,
        file=row["file"],
        line=row["line"],
        data={
            "state": row["state"],
            "severity": row["level"],
            "here": row["current"],
            "deployed": row["logged"],
            **({"files": row["details"]} if row["details"] else {}),
        },
    )


def _text(row: Mapping[str, Any]) -> str:
    what = called(row["kind"], row["name"])
    note = f" ({row['note']})" if row["note"] else ""
    if row["state"] == "only-logged":
        return f"{what}: only the deployed run has it, {row['logged']}"
    if row["state"] == "unknown":
        return f"{what}: {row['current'] or 'nothing'} here, not compared{note}"
    here, there = row["current"], row["logged"]
    return f"{what}: {here} here, {there} in the deployed run: {row['state']}{note}"


def _unique(name: str, taken: set[str]) -> str:
    """Return an id nobody has yet: names that differ in case only would share one."""
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}-{count}"
    taken.add(unique)
    return unique
