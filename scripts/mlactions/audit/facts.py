"""What Codex gets to know of an audit, and may cite by id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mlactions.publish import Fact

MAX_FACTS = 300
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the verdict, the programs with what they seed, and the findings."""
    prefix = result["prefix"]
    made = [
        Fact("audit.verdict", f"{result['status']}: {result['verdict']}", result["status"]),
        Fact("audit.score", "the score, of 100", result["score"]),
    ]
    taken = {fact.id for fact in made}
    made += [_program(row, prefix, taken) for row in result["programs"][:MAX_FACTS]]
    rules = {rule["id"]: rule for rule in result["rules"]}
    made += [_finding(row, rules, prefix, taken) for row in result["findings"][:MAX_FACTS]]
    if result["measured"]:
        ran = result["measured"]
        made.append(Fact("audit.double-run", ran["verdict"], ran["status"]))
    return made


def _program(row: Mapping[str, Any], prefix: str, taken: set[str]) -> Fact:
    return Fact(
        id=_unique(f"audit.program.{row['file']}", taken),
        text=f"{row['file']} is an entry point; it seeds {row['seeds']}",
        value=row["seeds"],
        file=prefix + row["file"],
        line=row["line"],
        data={name: row[name] for name in ("trains", "deterministic", "gpu")},
    )


def _finding(
    row: Mapping[str, Any], rules: Mapping[str, Any], prefix: str, taken: set[str]
) -> Fact:
    return Fact(
        id=_unique(f"audit.{row['rule']}.{row['file']}.{row['line']}", taken),
        text=f"{row['level']}: {row['message'].replace('`', '')}",
        value=row["level"],
        file=prefix + row["file"],
        line=row["line"],
        data={"rule": rules[row["rule"]]["title"], "quote": row["quote"]},
    )


def _unique(name: str, taken: set[str]) -> str:
    slug = _NOT_IN_ID.sub("-", name.lower())[:180]
    unique, count = slug, 1
    while unique in taken:
        count += 1
        unique = f"{slug}-{count}"
    taken.add(unique)
    return unique
