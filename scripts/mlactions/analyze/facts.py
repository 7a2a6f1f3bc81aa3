"""What Codex gets to know of an analysis, number by number, each with the runs it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlactions.analyze.words import number, repeats, together
from mlactions.publish import Fact

MAX_PARAMETERS = 60
MAX_BEST = 20
MAX_RUNS = 20
MAX_VALUES = 12
MAX_TEXT = 1900

_NOT_IN_ID = re.compile(r"[^a-z0-9._/=-]+")
_ABOUT_THE_METRIC = (
    "analyze.verdict",
    "analyze.parameter.",
    "analyze.pair.",
    "analyze.together.",
    "analyze.finding.",
    "analyze.change.",
)
_SHAPES = {
    "over-fitting": "over-fitting: it got worse after its best step while training went on",
    "diverged": "diverged",
    "improving": "still improving at its end",
    "plateau": "on a plateau",
    "too-short": "too short to tell",
    "empty": "empty",
}


def facts(result: Mapping[str, Any]) -> list[Fact]:
    """Return the facts of a result: the verdict, the best, what matters, what went wrong."""
    found = [
        Fact("analyze.verdict", f"{result['status']}: {result['verdict']}", result["status"]),
        *_counts(result),
        *_best(result),
        *(fact for item in result["parameters"][:MAX_PARAMETERS] for fact in _parameter(item)),
        *_pairs(result["pairs"]),
        *_runs(result),
        *_curves(result),
        *_cost(result),
        *_told("finding", result["findings"], "reason"),
        *_told("change", result["changes"] or (), "what"),
    ]
    return list(_unique([_about(fact, result["settings"]["metric"]) for fact in found]))


def _about(fact: Fact, metric: str) -> Fact:
    """Say of what is told of a parameter, a pair or a change that it is about the metric."""
    told = fact.id.startswith(_ABOUT_THE_METRIC) and not fact.metric
    return replace(fact, metric=metric) if told else fact


def _slug(*parts: object) -> str:
    return _NOT_IN_ID.sub("-", ".".join(map(str, ("analyze", *parts))).lower())[:180]


def _unique(found: Sequence[Fact]) -> Iterator[Fact]:
    """Yield facts with ids nobody else has, on one line and not too long."""
    taken: dict[str, int] = {}
    for fact in found:
        count = taken[fact.id] = taken.get(fact.id, 0) + 1
        name = fact.id if count == 1 else f"{fact.id}-{count}"
        value = fact.value[:1000] if isinstance(fact.value, str) else fact.value
        text = " ".join(fact.text.split())[:MAX_TEXT]
        yield replace(fact, id=name, text=text, value=value, metric=fact.metric[:512])


def _counts(result: Mapping[str, Any]) -> Iterator[Fact]:
    counts, metric = result["counts"], result["settings"]["metric"]
    told = {
        "all": "runs were read",
        "used": f"runs finished with a finite {metric} and are analysed",
        "failed": "runs failed or were killed",
        "running": "runs are marked as running",
        "stale": "runs are marked as running and probably died",
    }
    for name, text in told.items():
        yield Fact(_slug("runs", name), f"{counts[name]} {text}", counts[name])


def _best(result: Mapping[str, Any]) -> Iterator[Fact]:
    metric = result["settings"]["metric"]
    for item in result["configurations"][: min(result["settings"]["top"], MAX_BEST)]:
        runs = ", ".join(item["runs"][:MAX_RUNS])
        count = len(item["runs"])
        seeds = f", mean of {repeats(item['seeds'], count, item['unit'])}" if count > 1 else ""
        values = _params(item["params"], result)
        text = (
            f"rank {item['rank']}: {metric} {item['mean']:.6g}{seeds} with {values} (runs {runs})"
        )
        name = _slug("best", item["rank"])
        data = {"runs": item["runs"][:MAX_RUNS], "values": item["values"][:MAX_RUNS]}
        yield Fact(name, text, item["mean"], metric=metric, data=data)
        if item["low"] is not None:
            bounds = {"low": item["low"], "high": item["high"]}
            told = (
                f"rank {item['rank']}: 95 % bounds of the mean {metric}"
                f" {item['low']:.6g} to {item['high']:.6g}"
            )
            yield Fact(f"{name}.interval", told, metric=metric, data=bounds)


def _params(params: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return the parameters that matter most, as far as the run has them."""
    order = [item["name"] for item in result["parameters"] if item["name"] in params]
    shown = [f"{name}={_value(params[name])}" for name in order[:MAX_VALUES]]
    return ", ".join(shown) or "the same parameters as all"


def _value(value: float | str) -> str:
    return value[:80] if isinstance(value, str) else f"{value:.6g}"


def _parameter(item: Mapping[str, Any]) -> Iterator[Fact]:
    name, about = item["name"], _slug("parameter", item["name"])
    others = f" ({', '.join(item['partners'])})" if item["partners"] else ""
    yield Fact(f"{about}.verdict", f"{name}: {item['verdict']}{others}", item["verdict"])
    spread = f"{item['low']} to {item['high']}" if item["low"] else f"{item['distinct']} values"
    told = f"{name} was tried over {spread}; the best tenth has {item['best']}"
    yield Fact(f"{about}.range", told, item["distinct"])
    if item["share"] is not None:
        text = (
            f"{name} explains {item['share']:.1%} of the variance of the ranks"
            f" (p = {item['p_value']:.2g}, corrected for all parameters {item['adjusted']:.2g},"
            f" {item['n']} configurations)"
        )
        yield Fact(f"{about}.share", text, item["share"])
        if item["beside"] is not None:
            text = f"{name} beside the strongest parameters: corrected p = {item['beside']:.2g}"
            yield Fact(f"{about}.beside", text, item["beside"])
    if item["pedanova"] is not None:
        text = f"{name} has {item['pedanova']:.1%} of the importance by PED-ANOVA"
        yield Fact(f"{about}.pedanova", text, item["pedanova"])
    if item["rho"] is not None:
        bounds = (
            ""
            if item["rho_low"] is None
            else (f", 95 % bounds {item['rho_low']:.3f} to {item['rho_high']:.3f}")
        )
        text = f"{name}: Spearman correlation with the metric {item['rho']:.3f}{bounds}"
        data = {"low": item["rho_low"], "high": item["rho_high"]}
        yield Fact(f"{about}.spearman", text, item["rho"], data=data)


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> Iterator[Fact]:
    bound = [(pair["first"], pair["second"]) for pair in pairs if pair["kind"] == "always"]
    for names in together(bound):
        text = f"{', '.join(names[:MAX_VALUES])} always change together"
        yield Fact(_slug("together", names[0]), text, len(names), data={"names": names})
    for pair in [pair for pair in pairs if pair["kind"] != "always"][:MAX_PARAMETERS]:
        kind = "nearly always change" if pair["kind"] == "nearly" else "often change"
        text = f"{pair['first']} and {pair['second']} {kind} together ({pair['strength']:.2f})"
        data = {name: pair[name] for name in ("beyond_first", "beyond_second")}
        yield Fact(_slug("pair", pair["first"], pair["second"]), text, pair["strength"], data=data)


def _runs(result: Mapping[str, Any]) -> Iterator[Fact]:
    for item in result["failed"][:MAX_RUNS]:
        text = f"run {item['id']} ended as {item['status']} with {_params(item['params'], result)}"
        yield Fact(_slug("failed", item["id"]), text, item["status"], data={"run": item["id"]})
    for item in result["running"][:MAX_RUNS]:
        died = ", and probably died" if item["note"] else ""
        text = f"run {item['id']} is marked as {item['status']}{died}"
        yield Fact(_slug("running", item["id"]), text, item["status"], data={"run": item["id"]})


def _curves(result: Mapping[str, Any]) -> Iterator[Fact]:
    for item in result["curves"]:
        curve = item["curve"]
        text = f"{item['metric']} of run {item['run']} ({item['why']}) is {_SHAPES[curve['shape']]}"
        if curve["best"] is not None:
            text += f"; best {number(curve['best'])} at step {curve['best_step']}"
            text += f", last {number(curve['last'])} at step {curve['last_step']}"
        if curve["gap"] is not None:
            text += f", gap to training {number(curve['gap'])}"
        name = _slug("curve", item["run"], item["metric"])
        data = {"run": item["run"], **curve}
        yield Fact(name, text, curve["shape"], metric=item["metric"], data=data)


def _cost(result: Mapping[str, Any]) -> Iterator[Fact]:
    cost = result["cost"]
    if cost["timed"]:
        text = f"{cost['timed']} runs took {cost['hours']:.3g} hours, {cost['failed_hours']:.3g} of"
        yield Fact("analyze.cost.hours", f"{text} them failed runs", cost["hours"], "h")
    if cost["total"] is not None:
        text = f"at {cost['price_per_hour']:g} an hour they cost {cost['total']:.4g}"
        yield Fact("analyze.cost.total", text, cost["total"])


def _told(kind: str, items: Sequence[Mapping[str, Any]], name: str) -> Iterator[Fact]:
    for item in items[:MAX_PARAMETERS]:
        yield Fact(_slug(kind, item[name]), item["message"].replace("`", ""), item[name])
