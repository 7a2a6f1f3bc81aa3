"""The edge of measuring: the user's process, its answer, our rewriting, a sealed bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlactions import __version__
from mlactions.bundle import MANIFEST, seal, write_json
from mlactions.environment import caller_environment, user_environment
from mlactions.errors import Exit, UserError
from mlactions.evaluate.git import Git
from mlactions.evaluate.logfile import Log, tail
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.evaluate.provenance import find_program, hardware, sha256
from mlactions.evaluate.run import Stop, held_signals
from mlactions.export import outcome
from mlactions.export.exported import (
    EXPORTED,
    WORD,
    Exported,
    Metadata,
    Provenance,
)
from mlactions.export.outcome import Answer, failed
from mlactions.export.produce import produce
from mlactions.export.request import request_of
from mlactions.export.settings import Settings, read_settings
from mlactions.publish import empty_folder
from mlactions.runner import Annotation, Runner
from mlactions.schema import canonical, validate
from mlactions.text import one_line

SCRATCH = ".scratch"
LOG = "logs/export.log"
STAGE = "[export] "
OURS = frozenset({EXPORTED, "model", "cases", "task", "logs", SCRATCH})
GRACE_SECONDS = 5.0

_USER = Path(__file__).resolve().parent / "user"


def run_measure(runner: Runner, out: Path, given: Mapping[str, Any], folder: Path) -> int:
    """Export a model and seal what was measured; 0 where there is a model, 1 where there is none.

    A full disk is 2, as it is for the verdict: what is wrong is the place, not the model.

    Raises UserError for bad input, and Interrupted once all is sealed. What an earlier run left in
    `out` is gone before anything else can fail.
    """
    empty(out)
    settings = read_settings(given, folder=folder)
    environ = user_environment(caller_environment(runner.environ))
    measurer = Measurer(settings, runner, out, Git.find(settings.folder), environ)
    exported = measurer.run()
    tell(runner, out, exported)
    measurer.stop.check()
    if exported.failure is not None and exported.failure.kind == "disk-full":
        return Exit.BAD_INPUT
    return Exit.PASS if exported.status == "ok" else Exit.FAILED_CHECK


@dataclass(frozen=True)
class Measurer:
    """One export. `environ` is what the user's Python gets."""

    settings: Settings
    runner: Runner
    out: Path
    git: Git | None
    environ: Mapping[str, str]
    stop: Stop = field(default_factory=Stop)

    def run(self) -> Exported:
        """Export, rewrite, seal. No file named model.onnx is left where anything went wrong."""
        program = self.settings.python[0]
        if find_program(program, folder=self.settings.folder, environ=self.environ) is None:
            raise UserError(
                "bad input",
                f"`python` is {program!r}, which is no program on PATH.",
                "Name the Python that trains the model.",
            )
        config_hash(self.settings)  # a file that is missing is said now, not after the export
        prepare_folder(self.out)
        with held_signals(self.stop):
            try:
                exported = self._measure()
            except BaseException:
                self._clear()
                raise
            finally:
                shutil.rmtree(self.scratch, ignore_errors=True)
            self._seal(exported)
        return exported

    @property
    def scratch(self) -> Path:
        """Where everything unfinished lies."""
        return self.out / SCRATCH

    @property
    def root(self) -> Path:
        """What paths are relative to: the repository, else the working directory."""
        return self.git.root.resolve() if self.git else self.settings.folder

    def _measure(self) -> Exported:
        request = request_of(self.settings, scratch=self.scratch, root=self.root)
        write_json(self.scratch / "request.json", request)
        try:
            ended = self._ask()
            answer = outcome.read(self.scratch, ended, self._tail(), timeout=self.settings.timeout)
            known = self._known(answer)
            if answer.failure is not None:
                return failed(known, answer.failure, self.scratch, self.out)
            return produce(known, self.settings, self.scratch, self.out, self._background)
        except OSError as error:
            failure = outcome.broken_disk(error, self._tail())
            return failed(self._known(Answer({}, None)), failure, self.scratch, self.out)

    def _ask(self) -> Ended:
        """Run the user's Python over the request."""
        arguments = [*self.settings.python, str(_USER), str(self.scratch / "request.json")]
        environ = {"PYTHONHASHSEED": "0", **self.environ, "ORT_DISABLE_TELEMETRY": "1"}
        with self.runner.untrusted_output():
            return self._background(arguments, environ, LOG)

    def _background(self, arguments: list[str], environ: Mapping[str, str], name: str) -> Ended:
        """Run a command in another thread: a signal only sets `stop`, and the command is ended."""
        limits = Limits(timeout=self.settings.timeout, grace=GRACE_SECONDS)
        with ThreadPoolExecutor(1) as pool, Log(self.out / name, show=self._show) as log:
            return pool.submit(
                run,
                arguments,
                folder=self.settings.folder,
                environ=environ,
                log=log,
                limits=limits,
                stop=self.stop.event,
            ).result()

    def _show(self, line: str) -> None:
        """Pass on the stages; on GitHub, all else that the model prints as well."""
        if line.startswith(STAGE):
            self.runner.say(f"export: {one_line(line.removeprefix(STAGE))}")
        elif self.runner.on_github:
            self.runner.say(f"model | {line}")

    def _tail(self) -> tuple[str, ...]:
        path = self.out / LOG
        lines = tail(path) if path.is_file() else []
        ours = (self.root, self.settings.folder, self.scratch, self.out)
        return outcome.without_places(lines, [*ours, *(place.resolve() for place in ours)])

    def _known(self, answer: Answer) -> Exported:
        """Return what is known so far, whatever became of the model."""
        settings, given = self.settings, answer.given
        versions = given.get("versions", {})
        metadata = Metadata(
            commit=(self.git.head() or "") if self.git else "",
            dirty=self.git.is_dirty() if self.git else False,
            run=given.get("run", ""),
            config=config_hash(settings),
            python=versions.get("python", ""),
            torch=versions.get("torch", ""),
            onnxscript=versions.get("onnxscript", ""),
            mlactions=__version__,
        )
        provenance = Provenance(
            hardware(self.environ), given.get("platform", ""), given.get("threads", 0)
        )
        return outcome.exported_of(given, settings, metadata, provenance)

    def _seal(self, exported: Exported) -> None:
        document = exported.document()
        validate(json.loads(canonical(document)), WORD, file=EXPORTED)
        try:
            write_json(self.out / EXPORTED, document)
            seal(self.out, WORD)
        except BaseException:
            self._clear()
            raise

    def _clear(self) -> None:
        """Leave nothing of ours behind, and the folder only if something else is in it."""
        for name in (*OURS, MANIFEST):
            path = self.out / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(
                missing_ok=True
            )
        if self.out.is_dir() and not any(self.out.iterdir()):
            self.out.rmdir()


def empty(out: Path) -> None:
    """Empty the folder of an earlier export; what a user put there is refused, not removed."""
    empty_folder(out, WORD, OURS, scratch=SCRATCH)


def prepare_folder(out: Path) -> None:
    """Make an empty folder for an export."""
    empty(out)
    try:
        (out / SCRATCH).mkdir(parents=True)
    except OSError as error:
        message = f"`out` cannot be made: {error.strerror}."
        raise UserError("bad input", message, "Name another folder.", str(out)) from None


def config_hash(settings: Settings) -> str:
    """Return one hash over the files of `config`, empty where none is named."""
    if not settings.config:
        return ""
    hashes = {}
    for name in settings.config:
        path = settings.folder / name
        if not path.is_file():
            raise UserError("bad input", f"`config` has {name!r}: there is no such file.")
        hashes[name] = sha256(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return sha256(canonical({"files": hashes}))


def tell(runner: Runner, out: Path, exported: Exported) -> None:
    """Set the outputs, and say in a line what came of it."""
    failure = exported.failure
    for name, value in (
        ("status", "pass" if failure is None else "fail"),
        ("bundle", str(out)),
        ("result", ""),
        ("report", ""),
    ):
        runner.output(name, value)
    if failure is None:
        runner.say(outcome.summary(exported, out))
        return
    where = f"{failure.file}:{failure.line}: " if failure.file else ""
    runner.mark(Annotation("error", failure.message, failure.kind, failure.file, failure.line))
    runner.say(f"export: {failure.kind}: {one_line(where + failure.message)}")
