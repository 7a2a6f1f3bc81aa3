"""The command lines that prepare a baseline: `compare calibrate` and `compare update`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions import terminal
from mlactions.bundle import write_atomic
from mlactions.compare import calibrate as calibration
from mlactions.compare import record
from mlactions.compare import update as renewal
from mlactions.compare.baseline import parse_baseline
from mlactions.compare.candidate import read_candidate
from mlactions.compare.cli import BASELINE, PROPOSAL, checked_day, forget, results_folder
from mlactions.compare.model import Baseline, Candidate, Finding
from mlactions.compare.places import places_of
from mlactions.compare.reporting import render
from mlactions.compare.result import finding_document
from mlactions.compare.rules import existing
from mlactions.compare.shapes import check_shape, doubts
from mlactions.errors import Exit
from mlactions.publish import publish
from mlactions.runner import Annotation, Runner
from mlactions.schema import read_text
from mlactions.settings import Status, check_key, lines_option, option
from mlactions.text import plural

_PASSED = {True: Status.WARN, False: Status.PASS}

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
@option(
    "--baseline",
    metavar="FILE",
    help=f"Baseline YAML whose tolerances to check; default: {BASELINE}, if it is there.",
)
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
    path = Path(working_directory) / (baseline or BASELINE)
    paths = [Path(text) for text in metrics]
    folder = _out(out, paths, runner)
    candidate = read_candidate(paths, runs=True)
    task = Task(path, path.as_posix(), folder, _key(key), candidate, runner)
    rules = (
        parse_baseline(existing(path, task.name), name=task.name)
        if baseline or path.exists()
        else None
    )
    refused = tuple(renewal.refusals(candidate, None, None))
    if refused:
        return _refuse(refused, rules, task, "calibrate")
    asked = calibration.Asked(seeds, false_alarms)
    proposals = calibration.propose(candidate, rules, asked)
    result = calibration.document(proposals, asked, _head(task, Status.PASS))
    if task.out is not None:
        write_atomic(task.out / PROPOSAL, result["paste"])
        runner.say(f"rules to paste: {task.out / PROPOSAL}")
    _publish(task, result)
    return Exit.PASS


@click.command("update")
@option(
    "--baseline",
    metavar="FILE",
    default=BASELINE,
    show_default=True,
    help="Baseline YAML to write.",
)
@metrics_option
@expected_option
@option("--add", is_flag=True, help="Also write rules for what has none yet.")
@option(
    "--allow",
    type=click.Choice(renewal.ALLOWED),
    multiple=True,
    help="Replace recorded values also by fewer, or by those of uncommitted changes.",
)
@option("--check", is_flag=True, help="Write nothing; exit code 1 if something would change.")
@out_option
@key_option
@folder_option
@option("--today", metavar="DAY", help="Day to record as measured; default: now.")
@click.pass_obj
def update(
    runner: Runner,
    *,
    baseline: str,
    metrics: tuple[str, ...],
    expected: tuple[str, ...],
    allow: tuple[str, ...],
    check: bool,
    add: bool,
    out: Path | None,
    key: str,
    working_directory: str,
    today: str | None,
) -> int:
    """Write what was measured into the baseline; rules, comments and order stay.

    A baseline that does not exist yet is begun, with directions guessed from names; later, new
    models and metrics get rules with --add. Exit code 1, and nothing was written: an evaluation
    failed, a number is missing, or recorded values would be replaced by fewer or by those of
    uncommitted changes.
    """
    path = Path(working_directory) / baseline
    paths = [Path(text) for text in metrics]
    folder = _out(out, paths, runner)
    candidate = read_candidate(paths)
    task = Task(path, path.as_posix(), folder, _key(key), candidate, runner)
    known = parse_baseline(read_text(path), name=task.name) if path.exists() else None
    if known and not expected:
        check_shape(paths, candidate, known.models, new=add)
    refused = tuple(renewal.refusals(candidate, frozenset(expected) or None, known, allow))
    if refused:
        return _refuse(refused, known, task, "update")
    day = checked_day(today)
    if known:
        new = record.renewed(known, candidate, day, add=add)
    else:
        new = record.begun(task.name, candidate, day, list(doubts(paths, candidate)))
    if not check:
        record.write(path, new)
    status = Status.FAIL if check and new.changed else _PASSED[new.warns]
    result = record.document(new, known, candidate)
    _tell(result["findings"], runner)
    verdict = record.sentence(new, check=check)
    _publish(task, {**_head(task, status), **result, "verdict": verdict})
    return Exit.FAILED_CHECK if status is Status.FAIL else Exit.PASS


def _tell(findings: Iterable[Mapping[str, Any]], runner: Runner) -> None:
    """Show warnings on GitHub; in a terminal the report has them."""
    for item in findings:
        if item["level"] == "warn":
            message = item["message"].replace("`", "")
            place = item["file"], item["line"]
            runner.mark(Annotation("warning", message, item["reason"], *place))


def _out(given: Path | None, metrics: Sequence[Path], runner: Runner) -> Path | None:
    """Return the folder for the reports, empty, or None where nobody asked for one."""
    if not (given or runner.on_github):
        return None
    out = results_folder(given, runner)
    forget(out, metrics)
    return out


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
