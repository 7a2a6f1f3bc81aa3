"""What was measured, gathered from bundles: facts with ids, metrics, logs of what went wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlactions.bundle import Bundle, open_bundle, unfold
from mlactions.errors import UserError
from mlactions.metrics import parse_metrics
from mlactions.publish import check_result
from mlactions.settings import Status

MAX_FACTS = 5_000
LOG_TAIL_BYTES = 32 * 1024
MAX_LOGS = 40
MAX_REPORT_BYTES = 256 * 1024
EXPORTED = "export.json"
_IN_PARTS = frozenset({"evaluate"})

PAPERS: Mapping[str, str] = {
    "failure.json": "why the export failed: class, message, place, source, the log's end.",
    "modules.json": "the module tree: name, class, parameters, file and line of the class.",
    "exporter.md": "what torch's exporter reported.",
}
"""The texts that may lie beside the facts, and what each is."""

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Per model and metric, one value per seed."""


@dataclass(frozen=True)
class Log:
    """The end of one evaluation's output; `path` is its name in the bundle, which facts use."""

    model: str
    side: str
    seed: int | None
    outcome: str
    path: str
    text: str


@dataclass(frozen=True)
class Paper:
    """A text that explains a result besides its facts; `name` is one of ours, see `PAPERS`."""

    name: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """How one word ended."""

    word: str
    status: Status
    verdict: str


@dataclass(frozen=True)
class Evidence:
    """Everything an answer may speak of."""

    outcomes: tuple[Outcome, ...]
    facts: tuple[Mapping[str, Any], ...]
    commit: str = ""
    head: Values = field(default_factory=dict)
    base: Values = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    seeds: frozenset[int] = frozenset()
    logs: tuple[Log, ...] = ()
    papers: tuple[Paper, ...] = ()
    left_out: int = 0
    bundles: Mapping[str, Bundle] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The capabilities that were run, each once, in the order of the bundles."""
        return tuple(dict.fromkeys(outcome.word for outcome in self.outcomes))

    @property
    def troubled(self) -> bool:
        """True when something failed or was warned of: only then is there anything to explain."""
        return any(outcome.status in {Status.FAIL, Status.WARN} for outcome in self.outcomes)


def collect(folders: Sequence[Path]) -> Evidence:
    """Read bundles; each is checked against its manifest and its schemas."""
    if not folders:
        raise UserError("bad input", "`--bundle` is missing.", "Name the folder of a result.")
    bundles = [open_bundle(bundle) for folder in folders for bundle in unfold(folder)]
    _check_one_each(bundles)
    parts = [_read(bundle) for bundle in bundles]
    facts = _merge_facts(parts)
    return Evidence(
        outcomes=tuple(outcome for part in parts for outcome in part.outcomes),
        facts=facts[:MAX_FACTS],
        commit=next((part.commit for part in parts if part.commit), ""),
        head=_merge_values(part.head for part in parts),
        base=_merge_values(part.base for part in parts),
        models=frozenset().union(*(part.models for part in parts)),
        seeds=frozenset().union(*(part.seeds for part in parts)),
        logs=tuple(log for part in parts for log in part.logs)[:MAX_LOGS],
        papers=tuple({p.name: p for part in parts for p in part.papers}.values()),
        left_out=max(0, len(facts) - MAX_FACTS),
        bundles={bundle.word: bundle for bundle in bundles},
    )


def _read(bundle: Bundle) -> Evidence:
    result = bundle.json("result.json")
    check_result(result, file=str(bundle.folder / "result.json"))
    facts = bundle.json("facts.json", schema="facts")["facts"]
    _check_writer(bundle, result["word"], facts)
    outcome = Outcome(result["word"], Status(result["status"]), result["verdict"])
    listed = {entry.path for entry in bundle.entries}
    evaluation = (
        bundle.json("evaluation.json", schema="evaluation") if "evaluation.json" in listed else {}
    )
    runs = evaluation.get("evaluations", ())
    skipped = {entry["model"] for entry in evaluation.get("skipped", ())}
    return Evidence(
        outcomes=(outcome,),
        facts=tuple(facts),
        commit=result["commit"],
        head=_metrics(bundle, "metrics/"),
        base=_metrics(bundle, "base/metrics/"),
        models=frozenset(evaluation.get("expected", ())) | skipped | {run["model"] for run in runs},
        seeds=frozenset(run["seed"] for run in runs if run["seed"] is not None),
        logs=tuple(_log(bundle, run, listed) for run in runs if run["outcome"] != "ok"),
        papers=tuple(_papers(bundle, listed)),
    )


def _check_writer(bundle: Bundle, word: str, facts: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a bundle that speaks for another word: who measures could pose as who decides."""
    if bundle.word != word:
        message = f"the manifest is by `{bundle.word}`, the result by `{word}`."
        raise UserError("bundles contradict", message, file=str(bundle.folder))
    family = word.partition("-")[0] + "."
    foreign = next((fact["id"] for fact in facts if not fact["id"].startswith(family)), "")
    if foreign:
        message = f"the fact {foreign!r} of `{word}` does not begin with `{family}`."
        raise UserError("bundles contradict", message, file=str(bundle.folder))


def _check_one_each(bundles: Iterable[Bundle]) -> None:
    """Refuse a second result of one word; only what was measured may come in parts."""
    seen: set[str] = set()
    for bundle in bundles:
        if bundle.word in seen - _IN_PARTS:
            message = f"this is a second result of `{bundle.word}`."
            raise UserError("bundles contradict", message, "Give one.", file=str(bundle.folder))
        seen.add(bundle.word)


def _metrics(bundle: Bundle, folder: str) -> Values:
    pattern = re.compile(re.escape(folder) + r"([^/]+)\.json")
    found = (pattern.fullmatch(entry.path) for entry in bundle.entries)
    return {
        match[1]: parse_metrics(bundle.json(match[0]), file=match[0]).values
        for match in found
        if match
    }


def _papers(bundle: Bundle, listed: set[str]) -> Iterator[Paper]:
    """Yield what is known of an export: why it failed, the module tree, the exporter's report."""
    if EXPORTED not in listed:
        return
    exported = bundle.json(EXPORTED, schema="export")
    failure, model = exported["failure"], exported["model"]
    if model is not None:
        yield Paper("modules.json", _rows(model["tree"]))
    if failure is None:
        return
    yield Paper("failure.json", json.dumps(failure, indent=1, ensure_ascii=False) + "\n")
    if failure["report"] in listed:
        data = bundle.path(failure["report"]).read_bytes()[:MAX_REPORT_BYTES]
        yield Paper("exporter.md", data.decode(errors="replace"))


def _rows(entries: Sequence[Mapping[str, Any]]) -> str:
    rows = (json.dumps(entry, ensure_ascii=False) for entry in entries)
    return "[\n" + ",\n".join(rows) + "\n]\n"


def _log(bundle: Bundle, run: Mapping[str, Any], listed: set[str]) -> Log:
    text = "\n".join(run["log_tail"]) + "\n"
    if run["log"] in listed:
        data = bundle.path(run["log"]).read_bytes()
        text = data[-LOG_TAIL_BYTES:].decode(errors="replace")
    path = run["log"] or ""
    return Log(run["model"], run["side"], run["seed"], run["outcome"], path, text)


def _merge_facts(parts: Iterable[Evidence]) -> tuple[Mapping[str, Any], ...]:
    """Put facts together; one id with two meanings would let a claim cite either."""
    found: dict[str, Mapping[str, Any]] = {}
    for fact in (fact for part in parts for fact in part.facts):
        if json.dumps(found.setdefault(fact["id"], fact), sort_keys=True) != json.dumps(
            fact, sort_keys=True
        ):
            raise UserError(
                "bundles contradict",
                f"two bundles hold different facts with the id {fact['id']!r}.",
                "Give each result once.",
            )
    return tuple(found.values())


def _merge_values(parts: Iterable[Values]) -> Values:
    """Put metrics together; shards of one model follow each other."""
    merged: dict[str, dict[str, list[float]]] = {}
    for part in parts:
        for model, metrics in part.items():
            for name, values in metrics.items():
                merged.setdefault(model, {}).setdefault(name, []).extend(values)
    return merged
