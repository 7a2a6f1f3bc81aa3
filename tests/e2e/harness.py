"""Run a workflow for real, with act on this machine and without containers or network.

act differs from GitHub; what matters here is repaired or said. Repaired: a clean environment,
secrets that are on no command line, background processes that live until the end of the run and no
longer, a pager that cannot hang, checkouts with true depth and history. Not repaired: act sets
INPUT_* inside composite steps where GitHub sets nothing (a contract test must show that every
variable a composite reads is in its own `env:`), ignores permissions, concurrency, job timeouts and
event filters, loses the outputs of a reusable workflow inside another one, gives a composite the
outputs of its last step as well as its own, and runs no containers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.e2e import harness_events
from tests.e2e.bridge import ROOT, SELF, SELF_REF, Library, references
from tests.e2e.harness_events import Annotation, Job
from tests.e2e.harness_repository import Scratch

STAND_INS = ROOT / "tests" / "e2e" / "stand_ins"
ACTIONS = {
    "actions/attest": STAND_INS / "attest",
    "actions/cache": STAND_INS / "cache",
    "actions/checkout": STAND_INS / "checkout",
    "actions/download-artifact": STAND_INS / "download-artifact",
    "actions/setup-node": STAND_INS / "setup-node",
    "actions/setup-python": STAND_INS / "setup-python",
    "actions/upload-artifact": STAND_INS / "upload-artifact",
    "astral-sh/setup-uv": STAND_INS / "setup-uv",
    "openai/codex-action": ROOT / "tests" / "e2e" / "codex_action",
}
LIBRARY_NAME = "codex-ml-actions"
MACHINES = ("ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04", "self-hosted")
QUIET = {"GIT_PAGER": "cat", "PAGER": "cat", "NO_COLOR": "1", "TERM": "dumb"}
# How this machine reaches its package index; everything else of our environment stays out.
MACHINE_SETTINGS = re.compile(
    "(PIP|UV|SSL)_|NODE_EXTRA_CA_CERTS$|(HTTPS?|NO)_PROXY$", re.IGNORECASE
)
GRACE_SECONDS = 20.0
TOKEN = "ghs_write"


@dataclass(frozen=True)
class Run:
    """What happened. A job that is absent was skipped; `artifacts` is the folder of artifacts.

    `output` is all that act wrote, `errors` what act itself complains about.
    """

    exit_code: int
    jobs: tuple[Job, ...]
    errors: tuple[str, ...]
    output: str
    artifacts: Path

    def job(self, identifier: str, **matrix: Any) -> Job:
        """Return the job with this id, or the leg with these values (KeyError: it was skipped)."""
        for job in self.jobs:
            if job.id == identifier and matrix.items() <= job.matrix.items():
                return job
        raise KeyError(f"no job {identifier} {matrix} ran; these did: {[j.id for j in self.jobs]}")

    def ran(self, identifier: str) -> bool:
        """Whether a job ran at all."""
        return any(job.id == identifier for job in self.jobs)

    @property
    def summary(self) -> str:
        """The summaries of all jobs."""
        return "".join(job.summary for job in self.jobs)

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations of all jobs."""
        return tuple(note for job in self.jobs for note in job.annotations)

    @property
    def log(self) -> str:
        """What the steps printed, each line after the job's id, for people to read."""
        lines = [f"{job.id}: {line}" for job in self.jobs for line in _lines(job.log)]
        return "".join([*lines, *(f"act: {message}\n" for message in self.errors)])


def _lines(text: str) -> list[str]:
    return [line if line.endswith("\n") else line + "\n" for line in text.splitlines(keepends=True)]


@cache
def tool_path() -> str:
    """PATH for steps: the project's own tools, then the machine's without our environment."""
    script = ROOT / "scripts" / "dev" / "tools.sh"
    tools = subprocess.check_output([str(script), "all"], text=True).strip()
    own = str(Path(sys.executable).parent)
    machine = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
    return os.pathsep.join([*filter(None, [tools]), *machine])


@cache
def uv_cache() -> Path:
    """Find the machine's store of packages, so that a run does not fetch them again."""
    command = ["uv", "cache", "dir", "--no-config"]
    environment = {**os.environ, "PATH": tool_path()}
    return Path(subprocess.check_output(command, text=True, env=environment).strip())


@dataclass(frozen=True)
class Settings:
    """How to run a workflow.

    `workflow` is one file's path in the repository, `api` the address of a GitHub, `cancel_on` a
    text in the log at which the run is cancelled. Past `timeout` seconds a run fails the test.
    """

    workflow: str | None = None
    job: str | None = None
    payload: Mapping[str, Any] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    api: str | None = None
    actor: str = "alice"
    run_id: int = 1
    timeout: float = 240.0
    cancel_on: str | None = None
    extra: Sequence[str] = ()

    def options(self, folder: Path, repository: Path) -> list[str]:
        """Return act's options; files for it go to `folder`."""
        options = ["--actor", self.actor, *self.extra]
        options += ["-W", str(repository / self.workflow)] if self.workflow else []
        options += ["-j", self.job] if self.job else []
        if self.payload is not None:
            event = folder / "event.json"
            event.write_text(json.dumps(self.payload))
            options += ["-e", str(event)]
        options += [f"--input={name}={value}" for name, value in self.inputs.items()]
        options += _file_option(folder, "var", self.variables)
        return options + _file_option(folder, "secret", {"GITHUB_TOKEN": TOKEN, **self.secrets})


@dataclass(frozen=True)
class Act:
    """A way to run workflows: `library` answers for this project, `folder` takes what is kept."""

    folder: Path
    library: Library | None = None
    path: str = ""

    def run(self, repository: Scratch, event: str = "push", **settings: Any) -> Run:
        """Run the workflows of an event, with the fields of `Settings`."""
        chosen = Settings(**settings)
        artifacts = self.folder / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        mark = f"RUNNER_TRACKING_ID=github_{uuid.uuid4().hex}"
        environment = {
            **QUIET,
            "RUNNER_TRACKING_ID": mark.partition("=")[2],
            "GITHUB_RUN_ID": str(chosen.run_id),
            "MLACTIONS_TEST_ARTIFACTS": str(artifacts),
            "MLACTIONS_TEST_REPOSITORIES": str(repository.origins),
            **({"GITHUB_API_URL": chosen.api} if chosen.api else {}),
            **chosen.env,
        }
        with tempfile.TemporaryDirectory(prefix="act-") as name:
            folder = Path(name)
            command = [_act(), event, "-C", str(repository.path), *_options(folder)]
            command += chosen.options(folder, repository.path)
            command += _file_option(folder, "env", environment)
            command += self._local_repositories(repository)
            own = self._own_environment(folder)
            try:
                code, output = _execute(command, own, chosen, mark)
            finally:
                reap(mark)
        events = harness_events.read_events(output)
        left_out = harness_events.unsupported(events)
        assert not left_out, f"act has no machine for a job: {left_out}"
        jobs, errors = harness_events.jobs(events), harness_events.errors(events)
        return Run(code, jobs, errors, output, artifacts / str(chosen.run_id))

    def _local_repositories(self, repository: Scratch) -> list[str]:
        """Map every action that is used to a folder here; the rest would need a network."""
        used = set(references(repository.path))
        if self.library:
            used |= self.library.references | {(SELF, SELF_REF)}
        options = []
        for name, ref in sorted(used):
            folder = ACTIONS.get(name)
            if self.library and (name == SELF or name.endswith(f"/{LIBRARY_NAME}")):
                folder = self.library.path
            if folder:
                options += ["--local-repository", f"{name}@{ref}={folder}"]
        return options

    def _own_environment(self, folder: Path) -> dict[str, str]:
        """Return act's environment, all of which leaks into steps: nothing of ours may be in it."""
        home = folder / "home"
        (home / ".cache").mkdir(parents=True)
        (home / ".cache" / "uv").symlink_to(uv_cache())
        machine = {k: v for k, v in os.environ.items() if MACHINE_SETTINGS.match(k)}
        own = {"PATH": self.path or tool_path(), "HOME": str(home), "LANG": "C.UTF-8"}
        return {**machine, **own, "XDG_CONFIG_HOME": str(home)}


def _act() -> str:
    """Find the act of our own environment."""
    return str(Path(sys.executable).parent / "act")


def _options(folder: Path) -> list[str]:
    options = ["--json", "--rm", "--no-cache-server", "--no-skip-checkout", "--pull=false"]
    options += [f"-P={machine}=-self-hosted" for machine in MACHINES]
    return [*options, "--action-cache-path", str(folder / "cache")]


def _file_option(folder: Path, kind: str, values: Mapping[str, str]) -> list[str]:
    """Hand values over in a file: a command line can be read by every process (JSON is YAML)."""
    file = folder / f"{kind}.yml"
    file.write_text(json.dumps(dict(values)))
    file.chmod(0o600)
    return [f"--{kind}-file", str(file)]


def _execute(
    command: list[str], environment: Mapping[str, str], settings: Settings, mark: str
) -> tuple[int, str]:
    """Run act; nohup keeps `cmd &` of a step alive until its job ends."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [shutil.which("nohup") or "nohup", *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        late = threading.Event()
        watch = threading.Timer(settings.timeout, _interrupt, (process, late))
        watch.start()
        with process:
            lines = list(_follow(process, settings.cancel_on, mark))
        watch.cancel()
        watch.join()
        tail = "".join(lines[-40:])
        assert not late.is_set(), f"over {settings.timeout} s; the last lines:\n{tail}"
        errors.seek(0)
        assert lines, f"act reported nothing: {errors.read()}"
        return process.returncode, "".join(lines)


def _follow(process: subprocess.Popen[str], cancel_on: str | None, mark: str) -> Iterator[str]:
    """Yield act's lines; clean up after a job as its own machine would, cancel where told."""
    for line in process.stdout or ():
        job = harness_events.finished(line)
        if job:
            reap(mark, f"GITHUB_JOB={job}")
        if cancel_on and cancel_on in line:
            cancel_on = None
            _interrupt(process, threading.Event())
        yield line


def _interrupt(process: subprocess.Popen[str], late: threading.Event) -> None:
    """Cancel a run: on SIGINT act still runs its always() steps. End it where that hangs."""
    late.set()
    process.send_signal(signal.SIGINT)
    killer = threading.Timer(GRACE_SECONDS, process.kill)
    killer.daemon = True
    killer.start()


def reap(*marks: str) -> None:
    """End the processes with all these variables (`NAME=value`), as the real runner does."""
    wanted = {mark.encode() for mark in marks}
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            if wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                os.kill(int(folder.name), signal.SIGKILL)
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            continue
