"""The edge of verify: a measured bundle in, a verdict and the proven model out."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlactions import markdown
from mlactions.bundle import write_atomic
from mlactions.errors import Exit, UserError
from mlactions.export import package
from mlactions.export.exported import EXPORTED
from mlactions.export.facts import facts
from mlactions.export.gates import check_lines
from mlactions.export.origin import check_head, hold_to_head
from mlactions.export.reading import open_export
from mlactions.export.render import render
from mlactions.export.result import Result
from mlactions.export.verifier import MADE, TIMEOUT_SECONDS, Settings, Verifier
from mlactions.publish import WRITTEN, empty_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.settings import Status, check_key, parse_duration_minutes

SCRATCH = ".scratch"
OURS = frozenset({"model", "serving", "golden", "logs", EXPORTED, package.SUMS, SCRATCH})


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Return the settings behind click's values; what is wrong with them is said here.

    Names of outputs are held against `outputs`, if those are given.
    """
    targets = tuple(given.get("target") or ())
    check_lines(tuple(given.get("tolerance") or ()), tuple(given.get("outputs") or ()))
    minutes = given.get("timeout_minutes")
    return Settings(
        tolerances=tuple(given.get("tolerance") or ()),
        mode="absolute" if given.get("tolerance_mode") == "absolute" else "scaled",
        providers=tuple(given.get("providers") or ()),
        task_tolerance=_loss(str(given.get("task_tolerance") or "0.005")),
        targets=targets,
        images=_images(given, targets),
        name=str(given.get("name") or ""),
        key=check_key(str(given.get("key") or "export"), field="key"),
        timeout=parse_duration_minutes(str(minutes), field="timeout-minutes")
        if minutes
        else TIMEOUT_SECONDS,
    )


def _images(given: Mapping[str, Any], targets: Sequence[str]) -> dict[str, str]:
    lines = given.get("base_image") or ()
    from mlactions.export.serving.images import read_images

    return read_images((lines,) if isinstance(lines, str) else lines, targets)


def _loss(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        message = f"`task-tolerance` is {text!r}, not a finite number from 0 up."
        raise UserError("bad input", message, "Write for example 0.005.")
    return value


def run_verify(runner: Runner, bundle: Path, out: Path, given: Mapping[str, Any]) -> int:
    """Decide on a measured bundle and publish; return the exit code.

    What an earlier run left in `out` is gone before anything else can fail.
    """
    prepare(out, bundle)
    settings = read_settings(given)
    head = check_head(str(given.get("head_sha") or ""))
    opened, exported = open_export(bundle)
    exported = hold_to_head(exported, head, runner.environ, file=str(bundle))
    with _all_or_nothing(out) as scratch:
        result = Verifier(opened, exported, settings, out, scratch, runner).result()
        _annotate(runner, result)
        if result.status is Status.FAIL:
            package.hand_on(opened, exported, out)
        package.place(scratch / MADE, out)
        shutil.rmtree(scratch)
        tree = tuple(_module(m) for m in exported.model.tree) if exported.model else ()
        report = publish(
            runner,
            out,
            result.document(),
            render,
            facts(result.document(), tree if result.status is Status.FAIL else ()),
            verbose=bool(given.get("verbose")),
        )
    if given.get("report_file"):
        write_atomic(Path(given["report_file"]), markdown.render(report))
    return Exit.FAILED_CHECK if result.status is Status.FAIL else Exit.PASS


def prepare(out: Path, bundle: Path) -> None:
    """Empty the folder of an earlier verdict: a later run that fails must not leave it there."""
    here, there = out.resolve(), bundle.resolve()
    if here.is_relative_to(there) or there.is_relative_to(here):
        message = "`out` holds the bundle, or lies in it."
        raise UserError("bad input", message, "Name another folder.", str(out))
    try:
        empty_folder(out, "export", OURS, scratch=SCRATCH)
    except OSError as error:
        raise _no_folder(out, error) from None


@contextmanager
def _all_or_nothing(out: Path) -> Iterator[Path]:
    """Give a scratch folder; whatever goes wrong, nothing of ours is left in `out`."""
    try:
        (out / SCRATCH).mkdir(parents=True)
    except OSError as error:
        raise _no_folder(out, error) from None
    try:
        yield out / SCRATCH
    except BaseException as error:
        for name in (*OURS, *WRITTEN):
            path = out / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(
                missing_ok=True
            )
        if isinstance(error, OSError):
            message = f"the result could not be written: {error.strerror or error}."
            hint = "Make room there, or name another folder."
            raise UserError("cannot write", message, hint, str(out)) from None
        raise


def _no_folder(out: Path, error: OSError) -> UserError:
    message = f"`out` cannot be made: {error.strerror}."
    return UserError("bad input", message, "Name another folder.", str(out))


def _module(module: Any) -> dict[str, Any]:
    return {**vars(module), "class": module.class_name}


def _annotate(runner: Runner, result: Result) -> None:
    for finding in result.findings:
        if finding.level == "fail":
            text = finding.message.replace("`", "")
            runner.mark(Annotation("error", text, finding.reason, finding.file, finding.line))
