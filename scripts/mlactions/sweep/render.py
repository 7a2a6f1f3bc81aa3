"""The report, built from `result.json` alone: what will run, what it takes, what came of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mlactions.compare.messages import spans_of
from mlactions.report import (
    Block,
    Chip,
    Code,
    Column,
    Details,
    Heading,
    Inline,
    Items,
    Listing,
    Paragraph,
    Report,
    Strong,
    Table,
)
from mlactions.settings import Status
from mlactions.sweep.render_trials import (
    SHOWN_VALUES,
    best_trials,
    failed_trials,
    proposed_trials,
)
from mlactions.text import plural

MAX_PARAMETERS = 40

Document = Mapping[str, Any]

_TITLES = {"plan": "Sweep", "status": "Sweep status", "next": "Next trials of the sweep"}
_STATES = {
    "finished": (Status.PASS, "finished"),
    "running": (Status.SKIPPED, "running"),
    "planned": (Status.SKIPPED, "planned"),
    "missing": (Status.SKIPPED, "not run yet"),
    "retry": (Status.WARN, "failed, to be run again"),
    "preempted": (Status.WARN, "pre-empted or killed, to be run again"),
    "failed": (Status.FAIL, "failed"),
}


def render(result: Document) -> Report:
    """Return the report of a sweep that was generated, continued or looked at."""
    title = _TITLES[result["kind"]]
    return Report(
        title, Status(result["status"]), spans_of(result["verdict"]), tuple(_blocks(result))
    )


def _blocks(result: Document) -> Iterator[Block]:
    yield Paragraph(_about(result))
    if result["warnings"]:
        yield Heading(2, "Before you start it" if result["kind"] == "plan" else "What to know")
        yield Items(tuple(spans_of(item) for item in result["warnings"]))
    if result["kind"] == "status":
        yield from best_trials(result)
    if result["kind"] == "next":
        yield from proposed_trials(result)
    yield from _states(result)
    yield from failed_trials(result)
    if result["kind"] == "plan":
        yield from _cost(result)
        yield from _space(result)
        yield from _start(result)
    yield from _analysis(result)
    if result["notes"]:
        yield Details(plural(len(result["notes"]), "note"), (Items(_spans(result["notes"])),))
    yield from _origin(result)


def _spans(texts: Sequence[str]) -> tuple[Inline, ...]:
    return tuple(spans_of(text) for text in texts)


def _about(result: Document) -> Inline:
    space = result["space"]
    parts: list[Any] = ["Space ", Code(space["file"]), f", method {space['method']}"]
    if space["metric"]:
        arrow = "↑" if space["metric"]["goal"] == "maximize" else "↓"
        parts += [", metric ", Code(space["metric"]["name"]), f" {arrow}"]
    if space["seed_count"]:
        parts.append(f", {plural(space['seed_count'], 'seed')} each")
    return (*parts, ".")


def _states(result: Document) -> Iterator[Block]:
    counts = result["counts"]
    if set(counts["states"]) == {"planned"}:
        return
    rows = tuple(
        (Chip(*_STATES[name]), f"{counts['states'][name]:,}")
        for name in _STATES
        if counts["states"].get(name)
    )
    if rows:
        yield Heading(2, "Trials")
        total: tuple[Inline, ...] = (Strong("all"), Strong(f"{counts['trials']:,}"))
        yield Table((Column("State"), Column("Trials", "right")), (*rows, total))


def _cost(result: Document) -> Iterator[Block]:
    found, budget = result["estimate"], result["space"]["budget"]
    if found is None:
        return
    yield Heading(2, "What it takes")
    rows: list[tuple[Inline, ...]] = [
        ("Trials to run", f"{found['trials']:,}", _limit(budget["trials"], ""), _whole(found))
    ]
    hours = found["hours_per_trial"]
    assumed = "" if hours is None else f"{hours:.3g} h × {found['gpus']:g} GPU a trial"
    source = f" ({found['hours_from'].replace('`', '')})" if found["hours_from"] else ""
    rows.append(
        (
            "GPU hours",
            "unknown" if found["gpu_hours"] is None else f"{found['gpu_hours']:,.2f}",
            _limit(budget["gpu_hours"], ""),
            assumed + source if assumed else "no hours_per_trial, no finished run",
        )
    )
    price = found["price"]
    rows.append(
        (
            "Money",
            "unknown" if found["money"] is None else f"{found['money']:,.2f} {found['currency']}",
            _limit(budget["money"], f" {found['currency']}"),
            "no price_per_gpu_hour" if price is None else f"{price:g} {found['currency']} an hour",
        )
    )
    spent = found["spent"]
    if spent["trials"] or spent["hours"]:
        taken = f"{spent['hours'] * found['gpus']:,.2f} GPU hours"
        rows.append(
            (f"Spent on {plural(spent['trials'], 'trial')}", taken, "", "the budget is for both")
        )
    columns = (
        Column(""),
        Column("Estimate", "right"),
        Column("Budget", "right"),
        Column("Assumed"),
    )
    yield Table(columns, tuple(rows))


def _whole(found: Document) -> str:
    """Say how many trials there are in the end, where a search goes on."""
    if found["whole_trials"] <= found["trials"] + found["spent"]["trials"]:
        return ""
    told = f"{found['whole_trials']:,} in the end, as run_cap says"
    hours, price = found["hours_per_trial"], found["price"]
    if hours is None:
        return told
    taken = found["whole_trials"] * hours * found["gpus"]
    told += f": {taken:,.3g} GPU hours"
    return told if price is None else f"{told}, {taken * price:,.2f} {found['currency']}"


def _limit(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:,g}{unit}"


def _space(result: Document) -> Iterator[Block]:
    yield Heading(2, "What is covered")
    by_name = {row["name"]: row for row in result["coverage"]}
    rows = []
    for item in result["space"]["parameters"][:MAX_PARAMETERS]:
        row = by_name[item["name"].lstrip("+")]
        values: Inline = item["values"]
        if item["when"]:
            values = (item["values"], ", only if ", Code(item["when"]))
        rows.append((Code(item["name"]), values, *_covered(row)))
    columns = (
        Column("Parameter"),
        Column("Space"),
        Column("Tried", "right"),
        Column("Trials of each", optional=True),
    )
    yield Table(columns, tuple(rows))
    more = len(result["space"]["parameters"]) - MAX_PARAMETERS
    if more > 0:
        yield Paragraph(f"{plural(more, 'more parameter')} in result.json.")
    if result["space"]["exclude"]:
        rules = tuple((Code(text),) for text in result["space"]["exclude"])
        yield Details(plural(len(rules), "combination") + " left out", (Items(rules),))


def _covered(row: Document) -> tuple[Inline, Inline]:
    count = f"{row['distinct']:,}" + ("+" if row["more"] else "")
    tried = count if row["possible"] is None else f"{count} of {row['possible']:,}"
    continuous = row["possible"] is None and row["tenths"] is not None
    if continuous:
        tried += f" in {row['tenths']} of 10 tenths"
    if row["values"] and not continuous:
        shown = [f"{item['value']}: {item['trials']:,}" for item in row["values"][:SHOWN_VALUES]]
        rest = len(row["values"]) - SHOWN_VALUES
        each = ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")
    elif row["low"] is not None:
        each = f"{row['low']:.4g} … {row['high']:.4g}"
    else:
        each = "–"
    return tried, each


def _start(result: Document) -> Iterator[Block]:
    if not result["scripts"]:
        return
    lines = {
        "shell": f"bash {result['folder']}/run_sweep.sh",
        "slurm": f"bash {result['folder']}/submit_slurm.sh",
        "ray": f"bash {result['folder']}/submit_ray.sh",
        "hydra": f"bash {result['folder']}/multirun.sh",
    }
    shown = [lines[name] for name in result["backends"] if name in lines]
    if shown:
        yield Heading(2, "Start it")
        yield Listing("\n".join(shown), "sh")
    if "matrix" in result["backends"]:
        yield Paragraph(
            ("On GitHub: ", plural(result["jobs"], "job"), " in the output ", Code("matrix"), ".")
        )
    if shown and result["lookup"]["tracking"]:
        yield Paragraph(("How it goes: ", Code(_status_line(result))))
    if result["space"]["metric"] and not result["lookup"]["tracking"]:
        yield Paragraph(
            (
                *("Without MLflow there will be no ", Code("best.json"), ": generate it with "),
                *(Code("--experiment"), " and ", Code("--tracking-uri"), "."),
            )
        )


def _status_line(result: Document) -> str:
    """Return what shows the sweep while it runs, and afterwards."""
    words = ["mlactions", "sweep", "status", "--space", result["space"]["file"]]
    words += ["--config-dir", str(PurePosixPath(result["folder"]).parent.parent)]
    if PurePosixPath(result["space"]["file"]).stem != result["sweep"]:
        words += ["--name", result["sweep"]]
    return shlex.join([*words, "--out", "build/sweep-status"])


def _analysis(result: Document) -> Iterator[Block]:
    """Show what `analyze` says of the sweep's runs: importance and parallel coordinates."""
    if result["analysis"] is not None:
        from mlactions.analyze.render import render as render_analysis

        report = render_analysis(result["analysis"], best=not result["best"])
        yield Heading(2, "What the runs show")
        yield Paragraph(report.verdict)
        yield Details("The analysis of its runs", report.blocks, open=True)


def _origin(result: Document) -> Iterator[Block]:
    how = {
        "none": "not composed",
        "choices": "composed once for each choice of config groups",
        "all": "every trial composed",
    }[result["composed"]["how"]]
    files = result["composed"]["files"]
    items: list[Inline] = [
        ("Sweep: ", Code(result["folder"])),
        f"Config tree: {how}" + (f", {plural(files, 'override file')}" if files else ""),
    ]
    found = result["lookup"]
    if found["tracking"]:
        cost = f"{plural(found['runs'], 'run')} read in {plural(found['requests'], 'request')}"
        items.append(("MLflow: ", Code(found["tracking"]), f", {cost}"))
    if found["code"]:
        items.append(("Code: ", Code(found["code"])))
    if found["data"]:
        items.append(("Data: ", Code(found["data"])))
    yield Details("Where this comes from", (Items(tuple(items)),))
