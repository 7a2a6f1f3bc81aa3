"""The double run: the user's command twice, and once with another number of workers. Measures."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.audit import twice
from mlactions.bundle import seal, write_json
from mlactions.errors import Exit, UserError
from mlactions.evaluate.listen import listen
from mlactions.evaluate.logfile import Log, tail
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.evaluate.template import Template
from mlactions.evaluate.tracebacks import last_exception
from mlactions.runner import Runner

WORD = "audit-measure"
FILE = "double-run.json"
GRACE_SECONDS = 10.0
MAX_STEPS_BYTES = 64 * 1024 * 1024
MAX_METRICS_BYTES = 4 * 1024 * 1024
MAX_METRICS = 5_000
LOG_LINES = 25
_HASH_SECONDS = 300.0
_PLACEHOLDER = re.compile(r"(?<![{$]){([A-Za-z_]\w*)}(?!})")
_SHELL = re.compile(r"&&|\|\||[|;<>`]|\$\(")


@dataclass(frozen=True)
class DoubleRun:
    """What is run: the command's template, worker counts, the user's Python, seconds per run."""

    text: str
    template: Template
    workers: tuple[str, str]
    python: str
    seconds: float


def parse_command(text: str, *, workers: str, python: str, seconds: float) -> DoubleRun:
    """Read the command. Raises UserError for shell syntax and unknown placeholders."""
    line = text.replace("\\\n", " ").strip()
    hint = "Write for example `python train.py --config smoke.yaml --out {output}`."
    if not line:
        raise UserError("bad input", "`double-run` is empty.", hint)
    if found := _SHELL.search(re.sub(r"'[^']*'|\"[^\"]*\"", "", line)):
        advice = "Put the steps into a script and call that."
        raise UserError(
            "bad input", f"`double-run`: `{found[0]}` needs a shell, and none reads it.", advice
        )
    for name in _PLACEHOLDER.findall(line):
        if name not in {"output", "workers"}:
            advice = "Placeholders are {output} and {workers}; literal braces are doubled."
            raise UserError("bad input", f"`double-run`: {{{name}}} is no placeholder.", advice)
    try:
        arguments = tuple(shlex.split(line))
    except ValueError as error:
        raise UserError("bad input", f"`double-run` cannot be split ({error}).", hint) from None
    counts = [item.strip() for item in workers.split(",")]
    if len(counts) != 2 or len(set(counts)) != 2 or not all(item.isdigit() for item in counts):  # noqa: PLR2004
        raise UserError("bad input", f"`workers` is {workers!r}.", "Write two counts, such as 0,2.")
    return DoubleRun(
        " ".join(line.split()), Template(arguments), (counts[0], counts[1]), python, seconds
    )


def run_measure(
    runner: Runner,
    out: Path,
    asked: DoubleRun,
    *,
    folder: Path,
    environ: Mapping[str, str],
    commit: str,
) -> Mapping[str, Any]:
    """Run the command, compare, and seal what was found. The user's files go to `out/runs`."""
    first, second = asked.workers
    plan = [("first", first), ("again", first)]
    if asked.template.uses("workers"):
        plan.append(("workers", second))
    runs: list[twice.Run] = []
    for name, workers in plan:
        runner.say(f"double run: {name}" + (f", {workers} workers" if len(plan) > 2 else ""))  # noqa: PLR2004
        runs.append(_run(runner, out, asked, name, workers, folder=folder, environ=environ))
        if not runs[-1].ok:
            break
    comparisons = [twice.compare(runs[0], other) for other in runs[1:] if other.ok and runs[0].ok]
    document = twice.document(asked.text, runs, comparisons, commit=commit)
    write_json(out / FILE, document)
    return document


def publish_measure(runner: Runner, out: Path, document: Mapping[str, Any]) -> int:
    """Seal the bundle and say how it went."""
    seal(out, WORD)
    runner.output("status", str(document["status"]))
    runner.output("bundle", str(out))
    runner.conclude(str(document["status"]), str(document["verdict"]))
    return Exit.FAILED_CHECK if document["status"] == "fail" else Exit.PASS


def _run(
    runner: Runner,
    out: Path,
    asked: DoubleRun,
    name: str,
    workers: str,
    *,
    folder: Path,
    environ: Mapping[str, str],
) -> twice.Run:
    place = out / "runs" / name
    output = place / "output"
    output.mkdir(parents=True)
    steps = place / "steps.jsonl"
    arguments = asked.template.fill({"output": str(output), "workers": workers})
    given = {**environ, "MLACTIONS_STEPS": str(steps), "MLACTIONS_WORKERS": workers}
    try:
        with Log(place / "log.txt") as log, runner.untrusted_output():
            ended = _wait(arguments, folder, given, log, asked.seconds)
    except OSError as error:
        message = f"`double-run` starts with {arguments[0]!r}: {error.strerror}."
        raise UserError("bad input", message, "Install it in an earlier step.") from None
    if (why := _ended(ended, asked.seconds, place / "log.txt")) != "ok":
        shown = [line.replace(str(place), "…") for line in tail(place / "log.txt", lines=LOG_LINES)]
        why = why.replace(str(output), "{output}")
        return twice.Run(name, workers, why, ended.seconds, log=tuple(shown))
    tensors, unread = _tensors(asked.python, output, folder=folder, environ=environ)
    recorded, metrics = tuple(_steps(steps)), dict(_metrics(output))
    shutil.rmtree(output)  # what is compared was read; checkpoints would only fill the bundle
    return twice.Run(name, workers, "ok", ended.seconds, recorded, tensors, metrics, unread)


def _wait(
    arguments: Sequence[str], folder: Path, environ: Mapping[str, str], log: Log, seconds: float
) -> Ended:
    """Wait in the main thread, where signals arrive; the process is watched from another."""
    stop = threading.Event()
    limits = Limits(seconds, GRACE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            run, arguments, folder=folder, environ=environ, log=log, limits=limits, stop=stop
        )
        try:
            return future.result()
        except BaseException:
            stop.set()
            raise


def _ended(ended: Ended, seconds: float, log: Path) -> str:
    if ended.by == "time-out":
        return f"was still running after {seconds / 60:g} minutes"
    if ended.code == 0:
        return "ok"
    last = last_exception(tail(log))
    how = f"signal {-ended.code}" if ended.code < 0 else f"code {ended.code}"
    return " ".join(f"ended with {how}{': ' if last else ''}{last}".split())[:300].rstrip(".")


def _steps(path: Path) -> Iterator[tuple[int, Mapping[str, str], Mapping[str, str]]]:
    """Yield recorded steps. Raises UserError for a file that the helper did not write."""
    if not path.is_file():
        return
    if path.stat().st_size > MAX_STEPS_BYTES:
        hint = "Record fewer steps."
        raise UserError("file too large", f"more than {MAX_STEPS_BYTES:,} bytes.", hint, path.name)
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            document = json.loads(line)
            tensors = {str(key): str(value) for key, value in document["tensors"].items()}
            metrics = {str(key): str(value) for key, value in document["metrics"].items()}
            yield int(document["step"]), tensors, metrics
        except (ValueError, KeyError, TypeError, AttributeError):
            hint = "Write it with `mlactions_record.record`."
            raise UserError("bad input", "no recorded step.", hint, path.name, number) from None


def _tensors(
    python: str, output: Path, *, folder: Path, environ: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes of parameters in the user's files, read by the user's Python."""
    from mlactions.audit.user import hashes

    if not any(path.suffix in hashes.SUFFIXES for path in output.rglob("*")):
        return {}, {}
    program = str(Path(hashes.__file__))
    said = listen(
        [python, program, str(output)],
        folder=folder,
        environ=environ,
        seconds=_HASH_SECONDS,
        stop=threading.Event(),
    )
    try:
        answer = json.loads(said or "")
        files: Mapping[str, Mapping[str, str]] = answer["files"]
        found = {
            f"{file}: {key}": value for file, keys in files.items() for key, value in keys.items()
        }
        return found, dict(answer["unread"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, {".": f"`{python}` could not read the parameters"}


def _metrics(output: Path) -> Iterator[tuple[str, str]]:
    """Yield the numbers of JSON and CSV files, by file and key."""
    count = 0
    for path in sorted(output.rglob("*")):
        if path.suffix not in {".json", ".csv"} or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size > MAX_METRICS_BYTES:
            continue
        name = path.relative_to(output).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace")
        for key, value in _csv(text) if path.suffix == ".csv" else _json(text):
            count += 1
            if count > MAX_METRICS:
                return
            yield f"{name}: {key}", value


def _json(text: str) -> Iterator[tuple[str, str]]:
    try:
        stack: list[tuple[str, Any]] = [("", json.loads(text))]
    except (ValueError, RecursionError):
        return
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            items = [(f"{name}.{key}".lstrip("."), item) for key, item in value.items()]
            stack.extend(reversed(items))
        elif isinstance(value, list):
            stack.extend((f"{name}[{n}]", value[n]) for n in range(len(value) - 1, -1, -1))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, repr(value)


def _csv(text: str) -> Iterator[tuple[str, str]]:
    lines = text.splitlines()
    names = lines[0].split(",") if lines else []
    for number, line in enumerate(lines[1:], start=1):
        for name, value in zip(names, line.split(","), strict=False):
            yield f"row {number}.{name}", value
