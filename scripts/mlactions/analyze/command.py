"""The command line of `analyze`: reads runs, publishes the analysis. It only ever reads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from mlactions import markdown, mlflow_tags
from mlactions.analyze import records
from mlactions.analyze.conclusion import conclude
from mlactions.analyze.facts import facts
from mlactions.analyze.histories import read_curves
from mlactions.analyze.model import Requirement, Settings
from mlactions.analyze.options import EXAMPLE, with_options
from mlactions.analyze.ranges import parse_range
from mlactions.analyze.render import render
from mlactions.analyze.result import document
from mlactions.analyze.study import study
from mlactions.analyze.table import read
from mlactions.bundle import MAX_FILE_BYTES, open_bundle, seal, write_atomic
from mlactions.confidential import masked
from mlactions.curves import Direction
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.mlflow_store import Run, Store, caution, open_store
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Annotation, Level, Runner
from mlactions.schema import load_json, validate
from mlactions.settings import Sections, Status, check_key
from mlactions.values import canonical_key

ANSWER = "answer"
REPORTS = {False: "experiment_analysis.md", True: "sweep_analysis.md"}
"""The report's own name, by whether all runs are of one sweep."""

_REQUIREMENT = re.compile(r"\s*(best|finished|failed|failed-share)\s*(>=|<=)\s*(\S+)\s*")
_LEVELS: Mapping[str, Level] = {"fail": "error", "warn": "warning"}
_NOT_HOURLY = "Write the price of an hour as a number, such as 2.5."


@click.command("analyze", cls=Sections, epilog=EXAMPLE)
@with_options
@click.pass_obj
def command(runner: Runner, /, **given: Any) -> int:
    """Analyse the runs of an MLflow experiment: what is best, what matters, what to doubt.

    \b
    Exit code 0: analysed, perhaps with warnings.
              1: nothing to analyse, or a --require does not hold.
              2: bad input, or MLflow cannot be read.
    """  # noqa: D301  # \b is for click: these lines stay as they are
    caller = caller_environment(runner.environ)
    out = out_folder(given["out"], runner, "analyze")
    settings = read_settings(given)
    previous = read_previous(given["previous"], runner)
    uri = (given["tracking_uri"] or caller.get("MLFLOW_TRACKING_URI", "")).strip()
    if not uri:
        hint = "Write for example `https://mlflow.example.org`, or set MLFLOW_TRACKING_URI."
        raise UserError("bad input", "`tracking-uri` is missing.", hint)
    empty_folder(out, "analyze", {*REPORTS.values(), ANSWER, records.FILE})
    if found := caution(uri, caller):
        runner.annotate(Annotation("warning", found, "credentials in the clear"))
    recorder = records.Recorder()
    with open_store(uri, caller) as store:
        result = analyse(store, settings, previous, recorder)
    write_atomic(out / records.FILE, recorder.text())
    _publish(result, out, runner, verbose=given["verbose"])
    if given["ask"]:
        _ask(runner, out, {**caller, "MLFLOW_TRACKING_URI": uri})
    failed = result["status"] == Status.FAIL
    warned = result["status"] == Status.WARN and given["fail_on"] == "warn"
    return Exit.FAILED_CHECK if failed or warned else Exit.PASS


def analyse(
    store: Store,
    settings: Settings,
    previous: Mapping[str, Any] | None,
    recorder: records.Recorder | None = None,
    *,
    given: Iterable[Run] | None = None,
) -> dict[str, Any]:
    """Read the runs, then the histories that are worth it, and return the result's document.

    `given` are runs of the experiment that somebody else has chosen.
    """
    experiment = store.experiment(settings.experiment)
    found_runs = given
    if found_runs is None:
        found_runs = store.runs([experiment.id], filter=condition(settings))
    # Hidden before anything is kept of them: a report, and Codex, get to see what is read.
    hidden = (replace(run, params=masked(run.params)) for run in found_runs)
    runs = hidden if recorder is None else recorder.watch(hidden)
    table = read(runs, settings.metric, settings.renames)
    found = study(table, settings)
    read_from = read_curves(store, found)
    source = {
        "tracking": store.uri,
        "experiment_id": experiment.id,
        "name": experiment.name,
        "sweep": settings.sweep or table.sweep,
    }
    return document(conclude(found, read_from.curves, previous, source, gone=read_from.gone))


def condition(settings: Settings) -> str:
    """Return the filter for MLflow: the sweep's tag, and what the user wrote."""
    parts = [settings.filter] if settings.filter else []
    if settings.sweep:
        quote = '"' if "'" in settings.sweep else "'"
        parts.insert(0, f"tags.`{mlflow_tags.SWEEP}` = {quote}{settings.sweep}{quote}")
    return " AND ".join(parts)


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Check what click parsed and could not check itself."""
    for name in ("experiment", "metric"):
        if not given[name].strip():
            raise UserError("bad input", f"`{name}` is empty.", f"Write the {name}'s name.")
    direction: Direction = "lower" if given["direction"] == "lower" else "higher"
    sweep = given["sweep"].strip()
    if "'" in sweep and '"' in sweep:
        raise UserError("bad input", "`sweep` holds both kinds of quotes.", "MLflow cannot ask it.")
    return Settings(
        experiment=given["experiment"],
        metric=given["metric"],
        direction=direction,
        sweep=sweep,
        filter=given["filter"].strip(),
        top=given["top"],
        seeds=tuple(map(canonical_key, given["seed_params"])),
        renames=dict(map(_rename, given["rename"])),
        ignore=given["ignore"],
        curves=given["curve"],
        price_per_hour=_price(given["price_per_hour"]),
        requirements=tuple(map(requirement, given["require"])),
        declared=parse_range(given["range"]),
        key=check_key(given["key"], field="key"),
        day_ms=_end_of(given["today"]),
    )


def _rename(line: str) -> tuple[str, str]:
    old, separator, new = (part.strip() for part in line.partition("="))
    if not (old and separator and new):
        raise UserError("bad input", f"`rename` is {line!r}.", "Write `learning_rate=lr`.")
    return canonical_key(old), canonical_key(new)


def _price(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        price = float(text)
    except ValueError:
        price = math.nan
    if not (math.isfinite(price) and price >= 0):
        raise UserError("bad input", f"`price-per-hour` is {text!r}.", _NOT_HOURLY)
    return price


def requirement(line: str) -> Requirement:
    """Read a condition such as `best >= 0.9`."""
    found = _REQUIREMENT.fullmatch(line)
    try:
        limit = float(found[3]) if found else math.nan
    except ValueError:
        limit = math.nan
    if found is None or not math.isfinite(limit):
        hint = "Write best, finished, failed or failed-share, then >= or <=, then a number."
        raise UserError("bad input", f"`require` is {line!r}.", hint)
    return Requirement(" ".join(line.split()), found[1], found[2], limit)


def _end_of(day: str | None) -> int:
    """Return a day's end, or now, in milliseconds since 1970."""
    if not day:
        return int(datetime.now(UTC).timestamp() * 1000)
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UserError("bad input", f"`today` is {day!r}.", "Write 2026-11-22.") from None
    return int(start.timestamp() * 1000) + 86_400_000


def read_previous(text: str, runner: Runner) -> dict[str, Any] | None:
    """Read the analysis before: a bundle, or its result.json; it is checked as any other file.

    One that is there and cannot be read, as of an earlier release, is said and not compared: it
    would stop every analysis that follows.
    """
    if not text.strip():
        return None
    path = Path(text)
    if not path.exists():
        hint = "Name the folder or the result.json of an earlier analysis, or leave it out."
        raise UserError("bad input", f"`previous` is {text!r}, which is not there.", hint)
    try:
        if path.is_dir():
            path = open_bundle(path, word="analyze").path("result.json")
        found: dict[str, Any] = load_json(path, max_bytes=MAX_FILE_BYTES)
        validate(found, "analyze-result", file=str(path))
    except UserError as error:
        told = f"The analysis before could not be read, so nothing is compared with it: {error}"
        runner.annotate(Annotation("warning", told, "not compared"))
        return None
    return found


def _publish(result: Mapping[str, Any], out: Path, runner: Runner, *, verbose: bool) -> None:
    name = REPORTS[bool(result["source"]["sweep"])]
    for item in result["findings"]:
        if item["level"] in _LEVELS:
            text = item["message"].replace("`", "")
            runner.mark(Annotation(_LEVELS[item["level"]], text, item["reason"]))
    report = publish(runner, out, result, render, facts(result), verbose=verbose)
    write_atomic(out / name, markdown.render(report))
    seal(out, "analyze")


def _ask(runner: Runner, out: Path, caller: Mapping[str, str]) -> None:
    """Let Codex explain; the verdict stands whatever it says, or fails to say."""
    from mlactions.ask import ask_locally, tell_locally  # only who asks pays for it
    from mlactions.ask.local import Call
    from mlactions.codex_home.request import URI, holds_password

    answer = out / ANSWER
    uri = caller[URI]
    offered = find_spec("fastmcp") is not None and not holds_password(uri)
    call = Call(servers=("mlflow",) if offered else (), tracking_uri=uri if offered else "")
    checked = ask_locally(runner, [out], out=answer, always=True, call=call, environ=caller)
    tell_locally(runner, checked, answer)
