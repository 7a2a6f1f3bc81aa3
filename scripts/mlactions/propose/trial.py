"""Running things on a change: a work tree with the patch or a part of it, and commands in there."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlactions.ask.repository import Repository, run_git
from mlactions.environment import user_environment
from mlactions.evaluate.base import link_shared, moved_environment
from mlactions.evaluate.git import Git
from mlactions.evaluate.logfile import Log, tail
from mlactions.evaluate.process import Ended, Limits, run
from mlactions.evaluate.run import Stop, held_signals
from mlactions.propose.junit import MAX_BYTES, Outcome, outcomes
from mlactions.runner import Runner

Result = Literal["passed", "failed", "timed-out", "not-run"]
_GRACE = 10.0


@dataclass(frozen=True)
class Job:
    """What runs, and where: `folder` is the ML project inside the caller's checkout."""

    repository: Repository
    folder: Path
    environ: Mapping[str, str]
    imports_from: Sequence[str]
    share: Sequence[str]
    seconds: float
    runner: Runner


@dataclass(frozen=True)
class Ran:
    """How a command ended, and the end of what it printed."""

    outcome: Result
    code: int | None
    seconds: float
    log: tuple[str, ...]


class NotApplied(Exception):  # noqa: N818  # it is an answer
    """The patch does not apply: git's reason."""


@dataclass(frozen=True)
class Tree:
    """A work tree of a trial. `work` is the project's folder in it, `scratch` lies beside it."""

    job: Job
    root: Path
    work: Path
    scratch: Path

    def apply(self, patch: bytes, *, only: Sequence[str] = ()) -> None:
        """Apply a patch, or the part of it that is about some files."""
        include = [f"--include={path}" for path in only]
        options = ("--whitespace=nowarn", "--index", *include)
        done = run_git(self.root, ("apply", *options, "-"), given=patch)
        if done.returncode:
            said = done.stderr.decode(errors="replace").split("\n")[0]
            raise NotApplied(said.removeprefix("error: "))

    def blob(self, path: str) -> str:
        """Return git's name of a file's content now; empty where there is none."""
        done = run_git(self.root, ("rev-parse", "--verify", "--quiet", f":{path}"))
        return done.stdout.decode().strip() if done.returncode == 0 else ""

    def shell(self, command: str, name: str) -> Ran:
        """Run a user's command by bash, as a workflow's step does."""
        return self.call(["bash", "-euo", "pipefail", "-c", command], name)

    def call(self, arguments: Sequence[str], name: str) -> Ran:
        """Run a program in the project's folder; whatever it leaves running is ended."""
        job, log = self.job, self.scratch / f"{name}.log"
        environ = moved_environment(
            user_environment(job.environ), job.repository.root, self.root, job.imports_from
        )
        limits = Limits(job.seconds, _GRACE)
        stop = Stop()
        with (
            held_signals(stop),
            job.runner.untrusted_output(),
            Log(log, show=job.runner.say) as stream,
            ThreadPoolExecutor(1) as pool,  # not in this thread, which signals interrupt
        ):
            options: dict[str, Any] = {"folder": self.work, "environ": environ, "log": stream}
            ended = pool.submit(
                lambda: run(arguments, **options, limits=limits, stop=stop.event)
            ).result()
        stop.check()
        return _ran(ended, log)

    def outcomes(self, command: str, files: Sequence[str], name: str) -> dict[str, Outcome] | None:
        """Run test files; return how each test ended, None where no report was written."""
        report = self.scratch / f"{name}.xml"
        here = [Path(path).relative_to(self.work.relative_to(self.root)) for path in files]
        values = {"{tests}": shlex.join(map(str, here)), "{report}": shlex.quote(str(report))}
        for placeholder, value in values.items():
            command = command.replace(placeholder, value)
        self.shell(command, name)
        if not report.is_file() or report.stat().st_size > MAX_BYTES:
            return None
        try:
            return outcomes(report.read_text(encoding="utf-8", errors="replace"))
        except ValueError:
            return None

    def count(self, python: Sequence[str], model: Mapping[str, Any]) -> tuple[Any, Ran]:
        """Build a model in the user's Python and count; None where that failed."""
        output = self.scratch / "count.json"
        output.unlink(missing_ok=True)
        script = Path(__file__).with_name("count.py")
        ran = self.call(
            [*python, str(script), model["factory"], model["arguments"], str(output)], "count"
        )
        try:
            found = json.loads(output.read_text(encoding="utf-8")[:1000])
            counted = {name: int(found[name]) for name in ("parameters", "trainable")}
        except (OSError, ValueError, KeyError, TypeError):
            return None, ran
        return (counted if ran.outcome == "passed" else None), ran


@contextmanager
def trial(job: Job) -> Iterator[Tree]:
    """Check the head out beside the caller's work tree; it is removed also when interrupted."""
    repository, stop = job.repository, Stop()
    with ExitStack() as stack:
        with held_signals(stop):
            parent = Path(tempfile.mkdtemp(prefix="mlactions-propose-"))
            stack.callback(shutil.rmtree, parent, ignore_errors=True)
            tree = Git(repository.root).worktree(repository.head, parent / "checkout")
            root = stack.enter_context(tree).resolve()
        try:
            stop.check()
            work = root / job.folder.relative_to(repository.root)
            work.mkdir(parents=True, exist_ok=True)
            link_shared(job.folder, work, job.share)
            scratch = parent / "scratch"
            scratch.mkdir()
            yield Tree(job, root, work, scratch)
        finally:
            with held_signals(stop):
                stack.close()
    stop.check()


def _ran(ended: Ended, log: Path) -> Ran:
    outcome: Result = "passed" if ended.code == 0 else "failed"
    if ended.by == "time-out":
        outcome = "timed-out"
    return Ran(outcome, ended.code, round(ended.seconds, 1), tuple(tail(log)))
