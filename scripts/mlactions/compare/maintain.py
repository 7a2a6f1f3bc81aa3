"""The command lines that prepare a baseline: `compare calibrate` and `compare update`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions import terminal
from mlactions.bundle import write_atomic
from mlactions.compare import calibrate as calibration
from mlactions.compare import update as renewal
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.candidate import read_candidate
from mlactions.compare.cli import checked_day
from mlactions.compare.model import Baseline, Candidate, Finding
from mlactions.compare.places import places_of
from mlactions.compare.reporting import render
from mlactions.compare.result import finding_document
from mlactions.compare.rules import diff
from mlactions.compare.words import plural
from mlactions.errors import Exit, UserError
from mlactions.publish import out_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.schema import read_text
from mlactions.settings import Status, check_key, lines_option, option

PROPOSAL = "calibration.yaml"

metrics_option = lines_option(
    "--metrics", metavar="PATH", help="Bundle, folder of <model>.json, or one JSON file."
)
out_option = option("--out", type=click.Path(path_type=Path), help="Folder for the reports.")
folder_option = option(
    "--working-directory", default=".", help="Folder that --baseline is relative to."
)
key_option = option("--key", default="compare", help="Name of the comment and the artifact.")
expected_option = lines_option(
    "--expected", metavar="MODEL", help="Models that must have been measured."
)


@dataclass(frozen=True)
class Task:
    """What both commands work on. `name` is the baseline's path in the repository."""

    path: Path
    name: str
    out: Path | None
    key: str
    candidate: Candidate
    runner: Runner


@click.command("calibrate")
@metrics_option
@option("--baseline", metavar="FILE", help="Baseline YAML whose tolerances to check.")
@option("--seeds", type=click.IntRange(1, 1000), help="Seeds the gate measures; default: as here.")
@option(
    "--false-alarms",
    type=click.FloatRange(0.0001, 0.2),
    default=0.01,
    show_default=True,
    help="Share of unchanged candidates that may exceed a tolerance.",
)
@out_option
@key_option
@folder_option
@click.pass_obj
def calibrate(
    runner: Runner,
    *,
    metrics: tuple[str, ...],
    baseline: str | None,
    seeds: int | None,
    false_alarms: float,
    out: Path | None,
    key: str,
    working_directory: str,
) -> int:
    """Propose tolerances above the noise, from several runs of unchanged code.

    Give a bundle with several seeds, or one path per run. The proposal is printed as YAML and
    written to calibration.yaml in --out.
    """
    path = Path(working_directory) / (baseline or "")
    candidate = read_candidate([Path(text) for text in metrics], runs=True)
    task = Task(path, path.as_posix(), _out(out, runner), _key(key), candidate, runner)
    rules = parse_baseline(read_text(path), name=task.name) if baseline else None
    refused = tuple(renewal.refusals(candidate, None, None))
    if refused:
        return _refuse(refused, rules, task, "calibrate")
    asked = calibration.Asked(seeds, false_alarms)
    proposals = calibration.propose(candidate, rules, asked)
    status = Status.PASS if proposals else Status.WARN
    result = calibration.document(proposals, asked, _head(task, status))
    if task.out is not None and proposals:
        write_atomic(task.out / PROPOSAL, result["paste"])
    _publish(task, result)
    return Exit.PASS


@click.command("update")
@option("--baseline", metavar="FILE", help="Baseline YAML to write.")
@metrics_option
@expected_option
@option("--check", is_flag=True, help="Write nothing; exit code 1 if something would change.")
@out_option
@key_option
@folder_option
@option("--today", metavar="DAY", help="Day to record as measured; default: now.")
@click.pass_obj
def update(
    runner: Runner,
    *,
    baseline: str | None,
    metrics: tuple[str, ...],
    expected: tuple[str, ...],
    check: bool,
    out: Path | None,
    key: str,
    working_directory: str,
    today: str | None,
) -> int:
    """Write what was measured into the baseline; rules, comments and order stay.

    A baseline that does not exist yet is begun, with directions guessed from names. Exit code 1:
    an evaluation failed or a number is missing, and nothing was written.
    """
    if not baseline:
        raise UserError("bad input", "`--baseline` is missing.", "Name the baseline YAML.")
    path = Path(working_directory) / baseline
    candidate = read_candidate([Path(text) for text in metrics])
    task = Task(path, path.as_posix(), _out(out, runner), _key(key), candidate, runner)
    known = parse_baseline(read_text(path), name=task.name) if path.exists() else None
    refused = tuple(renewal.refusals(candidate, frozenset(expected) or None, known))
    if refused:
        return _refuse(refused, known, task, "update")
    changes = _changes(task, known, checked_day(today), write=not check)
    stale = changes["diff"] != "" and check
    _publish(task, {**_head(task, Status.FAIL if stale else Status.PASS), **changes})
    return Exit.FAILED_CHECK if stale else Exit.PASS


def _changes(task: Task, known: Baseline | None, today: str, *, write: bool) -> dict[str, Any]:
    """Return what the update does to the file, as `result.json` has it; do it if asked to."""
    before = known.text if known else ""
    new = renewal.update(known, task.candidate, today) if known else None
    text = new.text if new else renewal.new_baseline(task.candidate, today)
    parse_baseline(text, name=task.name)
    changed = text != before
    if changed and write:
        _write(task.path.resolve(), text)
    return {
        "mode": "update",
        "verdict": _sentence(new, task.name, changed=changed, check=not write),
        "file": task.name,
        "diff": diff(before, text, (task.name, task.name)),
        "rows": [_moved(moved) for moved in new.moved] if new else [],
        "findings": [],
    }


def _write(target: Path, text: str) -> None:
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    write_atomic(target, text, mode=mode)


def _sentence(new: renewal.Update | None, name: str, *, changed: bool, check: bool) -> str:
    if new is None:
        verb = "would begin" if check else "begins"
        return f"{name} {verb} here: check the guessed directions and tolerances."
    if not changed:
        return f"{name} already says what was measured."
    moved = sum(1 for item in new.moved if item.before != item.after)
    verb = "would change" if check else "changed"
    return f"{name} {verb}: {plural(moved, 'metric')} of {plural(len(new.models), 'model')}."


def _moved(moved: renewal.Moved) -> dict[str, Any]:
    return {
        "model": moved.model,
        "metric": moved.metric,
        "before": list(moved.before),
        "after": list(moved.after),
    }


def _out(given: Path | None, runner: Runner) -> Path | None:
    return out_folder(given, runner, "compare") if given or runner.on_github else None


def _key(text: str) -> str:
    return check_key(text, field="key")


def _head(task: Task, status: Status) -> dict[str, Any]:
    return {
        "version": 1,
        "word": "compare",
        "status": str(status),
        "commit": task.candidate.commit,
        "key": task.key,
    }


def _refuse(findings: tuple[Finding, ...], baseline: Baseline | None, task: Task, mode: str) -> int:
    """Say why nothing was written; exit code 1."""
    known = baseline or Baseline(task.name, "")
    places = places_of(findings, known)
    more = f" And {plural(len(findings) - 1, 'more reason')}." if len(findings) > 1 else ""
    result = {
        **_head(task, Status.REFUSED),
        "mode": mode,
        "verdict": f"Nothing was written. {findings[0].message}{more}".replace("`", ""),
        "rows": [],
        "findings": [finding_document(*pair) for pair in zip(findings, places, strict=True)],
    }
    for finding, place in zip(findings, places, strict=True):
        message = finding.message.replace("`", "")
        task.runner.annotate(Annotation("error", message, finding.reason, place.file, place.line))
    _publish(task, result)
    return Exit.FAILED_CHECK


def _publish(task: Task, result: Mapping[str, Any]) -> None:
    if task.out is not None:
        publish(task.runner, task.out, result, render)
        return
    terminal.show(render(result), task.runner.stream, task.runner.environ, verbose=True)
    task.runner.say(f"{str(result['status']).upper()}: {result['verdict']}")
