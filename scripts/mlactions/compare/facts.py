"""What Codex gets to know of a comparison, number by number, and may cite by id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.compare.words import number, signed, with_unit
from mlactions.publish import Fact

MAX_ROWS = 200
MAX_FINDINGS = 200

_ORDER = {"fail": 0, "warn": 1, "pass": 2, "notice": 2}
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the facts of a result: what failed first, at most MAX_ROWS rules."""
    rows = sorted(result["rows"], key=lambda row: _ORDER[row["status"]])[:MAX_ROWS]
    findings = sorted(result["findings"], key=lambda item: _ORDER[item["level"]])[:MAX_FINDINGS]
    taken: set[str] = set()
    made = [fact for row in rows for fact in _row(row, _unique(_slug(row), taken))]
    made += [_finding(item, taken) for item in findings]
    return [_verdict(result), *made]


def _verdict(result: Mapping[str, Any]) -> Fact:
    return Fact("compare.verdict", f"{result['status']}: {result['verdict']}", result["status"])


def _slug(row: Mapping[str, Any]) -> str:
    return _NOT_IN_ID.sub("-", f"compare.{row['model']}.{row['metric']}".lower())[:160]


def _unique(name: str, taken: set[str]) -> str:
    """Return an id nobody has yet: names that differ in case only would share one."""
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}-{count}"
    taken.add(unique)
    return unique


def _row(row: Mapping[str, Any], name: str) -> Iterator[Fact]:
    told = _Teller(row, name)
    if row["candidate"] is not None:
        yield told.value("candidate", "measured {}", row["candidate"])
    if row["baseline"] is not None:
        source = "measured at the base" if row["source"] == "base" else "recorded in the baseline"
        yield told.value("baseline", f"{source}: {{}}", row["baseline"])
    if row["change"] is not None:
        yield told.change()
        yield told.value("allowed", "may get worse by {}", row["allowed"])
    if row["low"] is not None:
        yield told.interval()
    yield told.fact("verdict", f"{row['status']} ({row['label']})", row["label"])


class _Teller:
    """Words one rule's facts alike."""

    def __init__(self, row: Mapping[str, Any], name: str) -> None:
        self.row, self.name = row, name

    def value(self, part: str, text: str, value: float) -> Fact:
        shown = with_unit(number(value, self.row["decimals"]), self.row["unit"])
        return self.fact(part, text.format(shown), value)

    def change(self) -> Fact:
        row = self.row
        by = with_unit(signed(row["change"], row["decimals"]), row["unit"])
        allowed = number(row["allowed"], row["decimals"])
        numbers = {name: row[name] for name in ("degradation", "detectable", "p_value", "n")}
        text = f"changed by {by} (allowed {allowed}, {row['direction']} is better)"
        if row["direction"] == "equal":
            text = f"changed by {by} (allowed {allowed} either way)"
        return self.fact("change", text, row["change"], numbers)

    def interval(self) -> Fact:
        row = self.row
        low, high = (signed(row[end], row["decimals"]) for end in ("low", "high"))
        bounds = {"low": row["low"], "high": row["high"]}
        return self.fact("interval", f"95 % bounds of the change: {low}, {high}", None, bounds)

    def fact(
        self, part: str, text: str, value: float | str | None, data: Mapping[str, Any] | None = None
    ) -> Fact:
        row = self.row
        return Fact(
            id=f"{self.name}.{part}",
            text=f"{row['metric']} of {row['model']}: {text}",
            value=value,
            unit=row["unit"],
            model=row["model"],
            metric=row["metric"],
            data=data or {},
        )


def _finding(item: Mapping[str, Any], taken: set[str]) -> Fact:
    parts = [part for part in (item["model"], item["metric"]) if part]
    name = _NOT_IN_ID.sub("-", ".".join(["compare.finding", item["reason"], *parts]).lower())
    return Fact(
        id=_unique(name[:180], taken),
        text=item["message"].replace("`", ""),
        value=item["reason"],
        model=item["model"],
        metric=item["metric"],
        file=item["file"],
        line=item["line"],
    )
