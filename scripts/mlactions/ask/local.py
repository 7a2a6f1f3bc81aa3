"""Codex called by ourselves, where no codex-action does it: same prompt, same home, same checks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.ask.outcome import AskStatus, Ending
from mlactions.ask.prepare import Question, prepare
from mlactions.ask.verify import decline, verify
from mlactions.ask.workspace import Workspace
from mlactions.codex import KEY_VARIABLE, Endpoint, exec_arguments
from mlactions.environment import caller_environment, user_environment
from mlactions.runner import Runner

GRACE_SECONDS = 5.0
"""How long Codex may take to end after SIGTERM."""


@dataclass(frozen=True)
class Call:
    """How Codex is called; empty texts leave the choice to Codex."""

    model: str = ""
    effort: str = ""
    endpoint: Endpoint | None = None
    seconds: float = 600.0


def ask_locally(
    runner: Runner,
    bundles: Sequence[Path],
    *,
    out: Path,
    repository: Path = Path(),
    base_ref: str = "",
    always: bool = False,
    call: Call | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ask the `codex` on the PATH about results and return the checked answer.

    `out` gets checked-answer.json and report.md, sealed. `environ` is the caller's environment, if
    it was read already: it can be read only once. Codex failing is a status, never an exception.
    """
    call = call or Call()
    environ = caller_environment(runner.environ) if environ is None else environ
    with _scratch() as folder:
        workspace = Workspace(folder)
        codex = shutil.which("codex", path=environ.get("PATH"))
        question = Question(
            bundles=bundles,
            repository=repository,
            base_ref=base_ref,
            out=folder,
            always=always,
            has_key=_has_key(environ),
            endpoint=call.endpoint,
        )
        context = prepare(question, runner)
        if context.reason:
            checked = verify(folder, outcome="skipped")
        elif codex is None:
            checked = decline(workspace, Ending(AskStatus.NOT_CALLED, "no-codex"))
        else:
            runner.say(f"Asking Codex, for at most {call.seconds / 60:g} minutes…")
            checked = verify(folder, outcome=_call(workspace, call, codex, environ))
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(workspace.bundle, out)
    return checked


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder outside every repository: in one, Codex would look for instructions."""
    folder = Path(tempfile.mkdtemp(prefix="mlactions-ask-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_key(environ: Mapping[str, str]) -> bool:
    return bool(_key(environ)) or _login(environ).is_file()


def _key(environ: Mapping[str, str]) -> str:
    return environ.get(KEY_VARIABLE) or environ.get("OPENAI_API_KEY") or ""


def _login(environ: Mapping[str, str]) -> Path:
    """Return where `codex login` keeps its tokens."""
    home = environ.get("CODEX_HOME") or os.path.join(environ.get("HOME", "/"), ".codex")  # noqa: PTH118  # may be empty
    return Path(home) / "auth.json"


def _call(workspace: Workspace, call: Call, codex: str, environ: Mapping[str, str]) -> str:
    """Run Codex to its end or its time limit; return the outcome as GitHub would name it."""
    command = exec_arguments(
        directory=workspace.facts,
        schema=workspace.schema,
        answer=workspace.answer,
        model=call.model,
        effort=call.effort,
    )
    environment = {**user_environment(environ), "CODEX_HOME": str(workspace.home)}
    if key := _key(environ):
        environment[KEY_VARIABLE] = key
    elif _login(environ).is_file():
        # A link, so that a token Codex renews is renewed for its owner too.
        (workspace.home / "auth.json").symlink_to(_login(environ))
    log = workspace.folder / "codex.log"
    with workspace.prompt.open("rb") as prompt, log.open("wb") as output:
        process = subprocess.Popen(
            [codex, *command[1:]],
            stdin=prompt,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        return _wait(process, call.seconds)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> str:
    try:
        return "failure" if process.wait(timeout=seconds) else "success"
    except subprocess.TimeoutExpired:
        return "cancelled"
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End Codex and what it started; its group outlives the launcher script that npm installs."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
            return
