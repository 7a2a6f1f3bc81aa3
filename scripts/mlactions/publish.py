"""The end of every word: result, facts and reports into one sealed folder, then to the runner."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlactions import html, markdown, terminal
from mlactions.bundle import MANIFEST, MAX_FILE_BYTES, seal, write_atomic, write_json
from mlactions.errors import UserError
from mlactions.report import Report
from mlactions.runner import Runner
from mlactions.schema import load_json, validate
from mlactions.settings import Status

Render = Callable[[Mapping[str, Any]], Report]

WRITTEN = frozenset({"result.json", "facts.json", "report.md", "report.html", MANIFEST})
"""What `publish` leaves in a folder."""


@dataclass(frozen=True)
class Fact:
    """Something measured that an agent may cite by `id`; Python prints the value, not the agent."""

    id: str
    text: str
    value: float | str | None = None
    unit: str = ""
    model: str = ""
    metric: str = ""
    file: str | None = None
    line: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def out_folder(given: Path | None, runner: Runner, word: str) -> Path:
    """Return the folder a word writes to: `--out`, or one of ours on a runner."""
    temporary = runner.environ.get("RUNNER_TEMP")
    if given is not None:
        return given.resolve()
    if runner.on_github and temporary:
        return Path(temporary) / "mlactions" / word
    hint = f"Name a folder for the results, such as `--out build/{word}`."
    raise UserError("bad input", "`--out` is missing.", hint)


def empty_folder(
    out: Path,
    word: str,
    names: Collection[str],
    *,
    scratch: str = "",
    mark: str = "",
    keep: Collection[str] = (),
) -> None:
    """Empty the folder of an earlier run of `word`; what a user put there is refused, not removed.

    `names` are those a run may leave beside `WRITTEN`, `keep` the folders of it that stay. A folder
    is an earlier run's if its manifest, its result or its `mark` says so, or if it holds the
    `scratch` folder of a run that was killed.
    """
    held = check_folder(out, word, names, scratch=scratch, mark=mark)
    try:
        for path in (out / name for name in held):
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif path.name not in keep:
                shutil.rmtree(path)
    except OSError as error:
        message = f"cannot remove {error.filename}: {error.strerror}."
        raise UserError("bad input", message, "Name an empty folder.", str(out)) from None


def check_folder(
    out: Path, word: str, names: Collection[str], *, scratch: str = "", mark: str = ""
) -> list[str]:
    """Return what is in the folder of an earlier run; raise UserError for what is not ours."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError("bad input", "`out` is not a folder.", file=str(out))
    held = sorted(path.name for path in out.iterdir()) if out.exists() else []
    ours = (scratch and (out / scratch).is_dir()) or any(
        _word_of(out / name) == word for name in (MANIFEST, "result.json", mark) if name
    )
    foreign = [name for name in held if name not in names and name not in WRITTEN]
    if held and (foreign or not ours):
        first = (foreign or held)[0]
        message = f"`out` holds {first!r}, which is not ours."
        raise UserError("bad input", message, "Name an empty folder.", str(out))
    return held


def _word_of(path: Path) -> str:
    """Return the word that wrote a manifest or a result; nothing for any other file."""
    try:
        document = load_json(path, max_bytes=MAX_FILE_BYTES) if path.is_file() else None
    except UserError:
        return ""
    return str(document.get("word")) if isinstance(document, dict) else ""


def publish(
    runner: Runner,
    out: Path,
    result: Mapping[str, Any],
    render: Render,
    facts: Sequence[Fact] = (),
    *,
    verbose: bool | None = None,
) -> Report:
    """Write result, facts and the three reports, seal the folder, tell the runner.

    `verbose` unfolds what a terminal cannot open; None where the command has no such option.

    The report is built from the result's JSON alone, so whoever reads that file later, in another
    job, shows exactly the same.
    """
    word = str(result["word"])
    report = render(result)
    write_json(out / "result.json", result)
    write_json(out / "facts.json", {"version": 1, "facts": [asdict(fact) for fact in facts]})
    text = markdown.render(report)
    write_atomic(out / "report.md", text)
    write_atomic(out / "report.html", html.render(report, title=report.title))
    seal(out, word)
    tell(runner, out, result, report, text, verbose=verbose)
    return report


def tell(
    runner: Runner,
    out: Path,
    result: Mapping[str, Any],
    report: Report,
    text: str,
    *,
    verbose: bool | None = None,
) -> None:
    """Set the outputs every action has, add the summary, and show the report in a terminal."""
    for name, value in (
        ("status", str(result["status"])),
        ("bundle", str(out)),
        ("result", str(out / "result.json")),
        ("report", str(out / "report.md")),
    ):
        runner.output(name, value)
    runner.summary(text)
    if not runner.on_github:
        unfold = "--verbose unfolds" if verbose is False else ""
        terminal.show(report, runner.stream, runner.environ, verbose=bool(verbose), unfold=unfold)
        runner.say(f"\nreport: {out / 'report.md'}\n        {out / 'report.html'}")
    runner.conclude(Status(result["status"]), result["verdict"])


def check_result(result: Any, *, file: str) -> None:
    """Refuse a result that lacks what every result has; words check the rest themselves."""
    validate(result, "result", file=file)
