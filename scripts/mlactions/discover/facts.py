"""What Codex gets to know of a search, and may cite by id. Names and cards are data, no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.discover.counts import show_count
from mlactions.discover.model import NOUNS
from mlactions.publish import Fact

MAX_DROPPED = 60
_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the task, the constraints, each candidate with its numbers, and who was dropped."""
    status = result["status"]
    made = [
        Fact("discover.verdict", f"{status}: {result['verdict']}", status),
        Fact("discover.task", f"the task in words: {result['task']}"),
        Fact(
            "discover.constraints",
            f"what a {NOUNS[result['kind']]} has to hold to",
            data={
                "kind": result["kind"],
                **result["constraints"],
                "hub_task": result["plan"]["tag"],
            },
        ),
    ]
    for item in result["candidates"]:
        made += _candidate(item)
    for item in result["dropped"][:MAX_DROPPED]:
        why = "; ".join(reason["text"].replace("`", "") for reason in item["reasons"])
        codes = [reason["code"] for reason in item["reasons"]]
        text = f"{item['id']} was dropped: {why}"
        made.append(Fact(f"discover.dropped.{_slug(item['id'])}", text, data={"reasons": codes}))
    return list({fact.id: fact for fact in made}.values())


def _candidate(item: Mapping[str, Any]) -> Iterator[Fact]:
    slug = _slug(item["id"])
    names = ("revision", "licence", "library", "task", "modified", "gated", "warnings", "metrics")
    yield Fact(
        f"discover.candidate.{slug}",
        f"{item['id']} holds to every constraint",
        item["id"],
        data={name: item[name] for name in names if item[name]},
    )
    for name in ("parameters", "downloads", "likes", "samples"):
        value = item[name]
        if value is not None:
            text = f"{item['id']} has {value:,} {name} ({show_count(value)})"
            yield Fact(f"discover.{name}.{slug}", text, float(value))
    for number, metric in enumerate(item["metrics"], start=1):
        text = f"the card of {item['id']} reports {metric['name']} {metric['value']}"
        where = f" on {metric['dataset']}" if metric["dataset"] else ""
        yield Fact(f"discover.reported.{slug}.{number}", text + where, metric["value"])


def _slug(name: str) -> str:
    return _NOT_IN_ID.sub("-", name.lower())[:150]
