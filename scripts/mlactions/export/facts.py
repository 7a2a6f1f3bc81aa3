"""What Codex gets to know of an export, number by number, and may cite by id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlactions.publish import Fact

MAX_CASES = 400
MAX_MODULES = 300
MAX_TEXT = 1900

_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")
_MEASURES = ("max_absolute", "scaled", "relative_l2", "cosine", "top1")
_ORDER = {"fail": 0, "warn": 1, "pass": 2, "skipped": 3}


def facts(result: Mapping[str, Any], tree: tuple[Mapping[str, Any], ...] = ()) -> list[Fact]:
    """Return the facts of a result: what failed first. `tree` is the user's module tree."""
    made = [
        Fact(
            "export.verdict",
            f"{result['status']}: {result['verdict']}"[:MAX_TEXT],
            result["status"],
        ),
        *_failure(result["failure"]),
        *_findings(result["findings"]),
        *_checks(result["checks"]),
        *_parity(result),
        *_latency(result["latency"]),
        *_task(result["task"]),
        *_graph(result["graph"]),
        *(_module(module) for module in tree[:MAX_MODULES]),
    ]
    return list(_unique(made))


def _slug(*parts: object) -> str:
    return _NOT_IN_ID.sub("-", ".".join(map(str, parts)).lower())[:180]


def _unique(made: list[Fact]) -> Iterator[Fact]:
    """Yield facts with ids nobody else has: names that differ in case only would share one."""
    taken: dict[str, int] = {}
    for fact in made:
        count = taken[fact.id] = taken.get(fact.id, 0) + 1
        yield fact if count == 1 else Fact(**{**vars(fact), "id": f"{fact.id}-{count}"})


def _failure(failure: Mapping[str, Any] | None) -> Iterator[Fact]:
    if failure is None:
        return
    where = {"file": failure["file"], "line": failure["line"]}
    text = f"the export failed ({failure['kind']}): {_plain(failure['message'])}"
    yield Fact("export.failure.class", text[:MAX_TEXT], failure["kind"], **where)
    if failure["module"]:
        told = f"the failing module is {failure['module']}"
        yield Fact("export.failure.module", told[:MAX_TEXT], failure["module"][:1000], **where)
    for line, text in failure["source"]:
        told = f"line {line} of {failure['file']}: {text.strip()}"
        place = {"file": failure["file"], "line": line}
        yield Fact(_slug("export.failure.source", line), told[:MAX_TEXT], line, **place)


def _findings(findings: list[Mapping[str, Any]]) -> Iterator[Fact]:
    for item in findings:
        parts = [part for part in (item["case"], item["output"]) if part]
        yield Fact(
            _slug("export.finding", item["reason"], *parts),
            _plain(item["message"])[:MAX_TEXT],
            item["reason"],
            file=item["file"],
            line=item["line"],
            data={"index": item["index"], "provider": item["provider"]},
        )


def _checks(checks: list[Mapping[str, Any]]) -> Iterator[Fact]:
    for check in checks:
        text = f"{check['name']}: {check['status']}, {_plain(check['message'])}"
        yield Fact(_slug("export.structure", check["name"]), text[:MAX_TEXT], check["status"])


def _parity(result: Mapping[str, Any]) -> Iterator[Fact]:
    several = len({case["provider"] for case in result["cases"]}) > 1
    ordered = sorted(result["cases"], key=lambda case: _ORDER[case["status"]])
    for case in ordered[:MAX_CASES]:
        parts = [case["provider"]] if several else []
        if case["outcome"] != "compared":
            text = f"case {case['id']}: {case['outcome']}. {_plain(case['error'])}".strip()
            yield Fact(_slug("export.parity", case["id"], *parts), text[:MAX_TEXT], case["outcome"])
        for row in case["rows"]:
            yield from _row(case, row, _slug("export.parity", case["id"], row["output"], *parts))


def _row(case: Mapping[str, Any], row: Mapping[str, Any], name: str) -> Iterator[Fact]:
    about = f"{row['output']} in case {case['id']}"
    numbers = {"index": row["index"], "torch": row["reference"], "model": row["value"]}
    for measure in _MEASURES:
        if row[measure] is not None:
            shown = measure.replace("_", " ")
            text = (
                f"{about}: {shown} {row[measure]:.3g}, allowed {row['allowed']:g} ({row['mode']})"
            )
            yield Fact(f"{name}.{measure}", text, row[measure], data=numbers)
    if row["reason"]:
        text = f"{about}: {row['reason']}. {_plain(row['hint'])}".strip()
        yield Fact(f"{name}.verdict", text[:MAX_TEXT], row["reason"], data=numbers)


def _latency(rows: list[Mapping[str, Any]]) -> Iterator[Fact]:
    for row in rows:
        text = (
            f"fastest pass of batch {row['batch']} on {row['provider']}: torch"
            f" {row['eager_ms']:.3g} ms, onnxruntime {row['runtime_ms']:.3g} ms,"
            f" ratio {row['ratio']:.2f}"
        )
        yield Fact(_slug("export.latency", row["provider"], row["batch"]), text, row["ratio"])


def _task(task: Mapping[str, Any] | None) -> Iterator[Fact]:
    if task is not None and task["change"] is not None:
        yield Fact(
            "export.task.change",
            f"{task['metric']} of {task['samples']} samples: {_plain(task['message'])}",
            task["change"],
            metric=task["metric"],
            data={name: task[name] for name in ("baseline", "candidate", "allowed", "flips")},
        )


def _graph(graph: Mapping[str, Any] | None) -> Iterator[Fact]:
    if graph is None:
        return
    yield Fact("export.graph.opset", f"the file has opset {graph['opset']}", graph["opset"])
    yield Fact("export.graph.nodes", f"the graph has {graph['nodes']} nodes", graph["nodes"])
    for operator in graph["operators"][:100]:
        text = f"the graph has {operator['count']} {operator['name']} nodes"
        name = _slug("export.operator", operator["domain"] or "ai.onnx", operator["name"])
        yield Fact(name, text, operator["count"])


def _module(module: Mapping[str, Any]) -> Fact:
    name = module["name"] or "the model itself"
    return Fact(
        _slug("export.module", module["name"] or "root"),
        f"module {name} is a {module['class']} with {module['parameters']:,} parameters"[:MAX_TEXT],
        module["parameters"],
        file=module["file"],
        line=module["line"],
    )


def _plain(text: str) -> str:
    return " ".join(text.replace("`", "").split())
