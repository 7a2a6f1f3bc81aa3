"""`export retry`: export once more with a suggested patch, in a work tree that is thrown away."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

from mlactions import markdown
from mlactions.ask.patch import CheckedPatch, check_patch
from mlactions.ask.repository import Repository, open_repository, run_git
from mlactions.bundle import MAX_FILE_BYTES, open_bundle, write_atomic
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.evaluate.base import link_shared, moved_environment
from mlactions.evaluate.git import Git
from mlactions.evaluate.provenance import probe
from mlactions.evaluate.run import Stop, held_signals
from mlactions.evaluate.template import Template
from mlactions.export.measure import run_measure
from mlactions.export.retry_result import WORD, facts, refused, render, retry_result, side
from mlactions.export.settings import parse_python
from mlactions.export.verify import run_verify
from mlactions.publish import empty_folder, publish
from mlactions.runner import Annotation, Runner
from mlactions.schema import load_json, read_text, validate
from mlactions.settings import Status

KEPT = ("result.json", "report.md")
"""What is kept of the export with the patch: never its model, which no commit holds."""

_OWN = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")


@dataclass(frozen=True)
class Attempt:
    """A patch that applies, where it is tried, and what is known of the export without it."""

    repository: Repository
    patch: CheckedPatch
    before: Mapping[str, Any]
    folder: Path


def run_retry(runner: Runner, bundle: Path, out: Path, given: Mapping[str, Any]) -> int:
    """Say whether a patch mends the export whose result `bundle` holds; 0 if it does, else 1.

    `given` has the options of measure and verify, and `patch`, the diff's path. The caller's work
    tree is not written to; the one that is used is removed, also when we are interrupted.
    """
    attempt = _attempt(bundle, given)
    empty_folder(out, WORD, {"after"})
    caller = caller_environment(runner.environ)
    python = _python(given, attempt.folder)
    with _patched(attempt) as root:
        work = root / attempt.folder.relative_to(attempt.repository.root)
        _share(given, attempt.folder, work)
        paths = probe(Template(python), folder=attempt.folder, environ=caller).paths
        environ = moved_environment(caller, attempt.repository.root, root, paths)
        ours = {"python": shlex.join(python), "working_directory": ".", "target": ()}
        options = {**given, **ours, "report_file": ""}
        after = _export(runner, work, options, environ, out)
    return _publish(runner, out, attempt, after, given)


def _attempt(bundle: Path, given: Mapping[str, Any]) -> Attempt:
    before = _result(bundle)
    if before["status"] != Status.FAIL:
        raise UserError(
            "nothing to mend",
            f"the export ended {before['status']}, so no patch is needed.",
            "Give the result of an export that failed.",
            file=str(bundle),
        )
    folder = Path(given.get("working_directory") or ".").resolve()
    repository = open_repository(folder)
    text = read_text(Path(given["patch"]))
    patch = check_patch(text, repository)
    if patch.struck:
        raise UserError(
            "patch refused",
            f"{patch.struck}.",
            "Give the `suggested.patch` of ask, at the commit that it was made for.",
            file=str(given["patch"]),
        )
    return Attempt(repository, patch, before, folder)


def _result(bundle: Path) -> Any:
    """Read the result of verify; a folder that another word wrote is refused."""
    opened = open_bundle(bundle, word="export")
    document = load_json(opened.path("result.json"), max_bytes=MAX_FILE_BYTES)
    validate(document, "export-result", file=str(bundle / "result.json"))
    return document


@contextmanager
def _patched(attempt: Attempt) -> Iterator[Path]:
    """Check the head out beside the caller's work tree, changes included, with the patch on top."""
    repository, stop = attempt.repository, Stop()
    with ExitStack() as stack:
        # A stop in between would leave a work tree that git calls locked.
        with held_signals(stop):
            parent = Path(tempfile.mkdtemp(prefix="mlactions-retry-"))
            stack.callback(shutil.rmtree, parent, ignore_errors=True)
            tree = Git(repository.root).worktree(repository.head, parent / "checkout")
            root = stack.enter_context(tree).resolve()
        try:
            stop.check()
            if not repository.commit:
                _apply(root, _changes(repository))
            _apply(root, attempt.patch.text.encode())
            yield root
        finally:
            with held_signals(stop):
                stack.close()
    stop.check()


def _changes(repository: Repository) -> bytes:
    """Return what differs from the head in tracked files; what is new and untracked stays out."""
    options = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv")
    return run_git(repository.root, ("diff", *options, repository.head)).stdout


def _apply(root: Path, patch: bytes) -> None:
    if not patch:
        return
    done = run_git(root, ("apply", "--binary", "--whitespace=nowarn", "-"), given=patch)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UserError("patch refused", f"git apply: {said}.", file=str(root))


def _python(given: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """Return the command of the user's Python; one that is named by a path stays the caller's."""
    first, *others = parse_python(str(given.get("python") or "python"))
    return (os.path.normpath(folder / first) if "/" in first else first, *others)


def _share(given: Mapping[str, Any], folder: Path, work: Path) -> None:
    """Link into the other work tree what Git does not track and the options name."""
    named = [given.get(name) or "" for name in ("checkpoint", "checkpoint_dir", "task_data")]
    named += [line for line in given.get("example_inputs") or () if line.endswith(".npz")]
    shared = [name for name in named if _is_untracked(name, folder, work)]
    link_shared(folder, work, [*shared, *(given.get("share") or ())])


def _is_untracked(name: str, folder: Path, work: Path) -> bool:
    path = Path(name)
    return (
        bool(name)
        and not path.is_absolute()
        and (folder / path).exists()
        and not (work / path).exists()
    )


def _export(
    runner: Runner, work: Path, given: Mapping[str, Any], environ: Mapping[str, str], out: Path
) -> dict[str, Any]:
    """Measure and verify in the other work tree; return what came of it and keep its report."""
    with tempfile.TemporaryDirectory(prefix="mlactions-export-") as name:
        measured, result = Path(name) / "measured", Path(name) / "result"
        try:
            with _inner(runner, environ, runner.stream) as inner:
                run_measure(inner, measured, given, work)
        except UserError as error:
            # With these options the export began before: what is wrong now came with the patch.
            return refused(error)
        with _inner(runner, environ, StringIO()) as inner:
            run_verify(inner, measured, result, given)
        for kept in KEPT:
            write_atomic(out / "after" / kept, (result / kept).read_bytes())
        return side(_result(result))


class _Inner(Runner):
    """A runner for the export inside: its findings lie in files that are gone when it ends."""

    def mark(self, annotation: Annotation) -> None:
        """Show nothing beside lines of the caller's files."""


@contextmanager
def _inner(runner: Runner, environ: Mapping[str, str], stream: TextIO) -> Iterator[Runner]:
    """Give a runner that sets no outputs and hands on an environment, as the launcher does."""
    ours = {name: value for name, value in runner.environ.items() if name not in _OWN}
    pairs = "\0".join(f"{name}={value}" for name, value in environ.items())
    with tempfile.TemporaryFile() as variables:
        variables.write(pairs.encode(errors="surrogateescape"))
        variables.seek(0)
        ours["MLACTIONS_CALLER_FD"] = str(os.dup(variables.fileno()))
        yield _Inner(environ=ours, stream=stream)


def _publish(
    runner: Runner,
    out: Path,
    attempt: Attempt,
    after: Mapping[str, Any],
    given: Mapping[str, Any],
) -> int:
    head, before = attempt.repository.head, attempt.before
    notes = (
        [] if attempt.repository.commit else ["Tracked changes that are not committed took part."]
    )
    if before["commit"] not in {"", head}:
        notes.append(f"The result before is of {before['commit'][:12]}, this one of {head[:12]}.")
    if after["status"] == Status.REFUSED:
        notes.append("If it misses a file that Git does not track, name the file in `share`.")
    document = retry_result(
        side(before),
        after,
        attempt.patch,
        commit=head,
        key=str(given.get("key") or "export"),
        notes=notes,
    )
    validate(document, "export-retry-result", file=str(out / "result.json"))
    shown = bool(given.get("verbose"))
    report = publish(runner, out, document, render, facts(document), verbose=shown)
    if given.get("report_file"):
        write_atomic(Path(given["report_file"]), markdown.render(report))
    return Exit.PASS if document["status"] == Status.PASS else Exit.FAILED_CHECK
