"""What Codex gets to know of a diagnosis, and may cite by id."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.diagnose.probes import told
from mlactions.publish import Fact

MAX_CHANGES = 200
MAX_LAYERS = 100
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")

Document = Mapping[str, Any]


def facts(result: Document) -> list[Fact]:
    """Return the verdict, each sign and cause, the curves, the settings, what changed."""
    made = [Fact("diagnose.verdict", f"{result['status']}: {result['verdict']}", result["status"])]
    made += _signs(result)
    made += _causes(result)
    made += _probes(result)
    made += _series(result)
    made += _settings(result)
    made += _changes(result)
    return _unique(made)


def _signs(result: Document) -> Iterator[Fact]:
    for sign in result["signs"]:
        numbers = [v for v in sign["values"].values() if isinstance(v, int | float)]
        yield Fact(
            id=f"diagnose.sign.{sign['code']}",
            text=sign["message"].replace("`", ""),
            value=float(numbers[0]) if numbers else None,
            metric=sign["metric"],
            data={"level": sign["level"], **sign["values"]},
        )


def _causes(result: Document) -> Iterator[Fact]:
    for cause in result["causes"]:
        evidence = [f"diagnose.sign.{code}" for code in cause["evidence"]]
        yield Fact(
            id=f"diagnose.cause.{cause['code']}",
            text=f"by rule, {cause['strength']}: {cause['title']}",
            value=cause["strength"],
            data={"evidence": evidence},
        )


def _probes(result: Document) -> Iterator[Fact]:
    for name, answer in result["probes"].items():
        text = f"the probe {name} ({answer['outcome']}): {told(name, answer)}"
        layers = answer.get("layers", []) if name == "gradients" else []
        data = {layer["name"]: layer["gradient"] for layer in layers[:MAX_LAYERS]}
        yield Fact(f"diagnose.probe.{name}", text, answer["outcome"], data=data)


def _series(result: Document) -> Iterator[Fact]:
    for item in result["series"]:
        known = [value for value in item["values"] if value is not None]
        if known:
            data = {
                "first": known[0],
                "last": known[-1],
                "lowest": min(known),
                "highest": max(known),
            }
            yield Fact(
                id=f"diagnose.curve.{_slug(item['metric'])}",
                text=f"{item['metric']} has {item['points']:,} values and ended at {known[-1]:.6g}",
                value=known[-1],
                metric=item["metric"],
                data=data,
            )


def _settings(result: Document) -> Iterator[Fact]:
    for key, text in result["settings"].items():
        yield Fact(f"diagnose.setting.{_slug(key)}", f"the run's {key} was {text}", _value(text))


def _changes(result: Document) -> Iterator[Fact]:
    for change in result["against"]["changes"][:MAX_CHANGES]:
        there = change["there"] or "nothing"
        yield Fact(
            id=f"diagnose.change.{change['kind']}.{_slug(change['name'])}",
            text=f"{change['kind']} {change['name']}: {change['here'] or 'nothing'} here,"
            f" {there} in the good run {result['against']['run'][:8]}",
            value=_value(change["here"]),
            data={"files": change["details"]} if change["details"] else {},
        )


def _value(text: str) -> float | str | None:
    try:
        number = float(text)
    except ValueError:
        return text or None
    return number if math.isfinite(number) else text


def _slug(name: str) -> str:
    return _NOT_IN_ID.sub("-", name.lower())[:150]


def _unique(made: list[Fact]) -> list[Fact]:
    """Drop a second fact of one id: names that differ in case only would share one."""
    found: dict[str, Fact] = {}
    for fact in made:
        found.setdefault(fact.id, fact)
    return list(found.values())
