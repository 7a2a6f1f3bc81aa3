"""Codex called by ourselves, where no codex-action does it: same prompt, same home, same checks."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlactions.ask.outcome import NO_SERVER, AskStatus, Ending
from mlactions.ask.prepare import Question, prepare
from mlactions.ask.proposal import answer_files
from mlactions.ask.verify import decline, verify
from mlactions.ask.workspace import Workspace
from mlactions.bundle import MANIFEST, write_atomic
from mlactions.codex import KEY_VARIABLE, Endpoint, exec_arguments
from mlactions.codex_home.request import URI, tracking_uri
from mlactions.environment import caller_environment, user_environment
from mlactions.escaping import printable
from mlactions.publish import empty_folder
from mlactions.runner import Runner

TAIL_LINES = 5
TAIL_CHARACTERS = 400
"""How much is shown of what Codex said before it failed."""

GRACE_SECONDS = 5.0
"""How long Codex may take to end after SIGTERM."""

_TAIL_BYTES = 16 * 1024
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


@dataclass(frozen=True)
class Call:
    """How Codex is called; empty texts leave the choice to Codex.

    `servers` are MCP servers it gets; MLflow's reads `tracking_uri`, or else MLFLOW_TRACKING_URI.
    """

    model: str = ""
    effort: str = ""
    endpoint: Endpoint | None = None
    seconds: float = 600.0
    servers: tuple[str, ...] = ()
    tracking_uri: str = ""


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
    A folder `out` that holds anything but an earlier answer is an error, before any work.
    """
    call = call or Call()
    environ = caller_environment(runner.environ) if environ is None else environ
    named = call.servers or call.tracking_uri
    uri = tracking_uri(call.tracking_uri, environ, Path.cwd()) if named else ""
    empty_folder(out, "ask", answer_files(out))
    with _scratch() as folder:
        workspace = Workspace(folder)
        codex = shutil.which("codex", path=environ.get("PATH"))
        question = Question(
            bundles=bundles,
            repository=repository,
            base_ref=base_ref,
            out=folder,
            always=always,
            endpoint=call.endpoint,
            servers=call.servers,
            tracking_uri=uri,
        )
        context = prepare(question, runner, environ)
        if context.reason == "nothing-to-explain":
            checked = verify(folder, outcome="skipped")
        elif codex is None or not has_key(environ):
            reason = "no-login" if codex else "no-codex"
            checked = decline(workspace, Ending(AskStatus.NOT_CALLED, reason))
        elif context.reason:
            checked = verify(folder, outcome="skipped")
        else:
            runner.say(f"Asking Codex, for at most {call.seconds / 60:g} minutes…")
            given = {**environ, URI: uri} if uri else environ
            outcome, said = call_codex(workspace, call, codex, given)
            checked = verify(folder, outcome=outcome, own=said, environ=given)
        _hand_over(workspace.bundle, out)
    return checked


def tell_locally(runner: Runner, checked: Mapping[str, Any], out: Path) -> None:
    """Show a checked answer that `ask_locally` put into `out`, and say where it lies."""
    from mlactions import terminal  # only who asks pays for it
    from mlactions.ask.render import render_report

    terminal.show(render_report(checked), runner.stream, runner.environ)
    runner.say(f"answer: {out / 'report.md'}")


def _hand_over(bundle: Path, out: Path) -> None:
    """Copy a checked answer, its manifest first: what an interruption leaves is known as ours."""
    names = sorted(path.name for path in bundle.iterdir())
    for name in (MANIFEST, *(name for name in names if name != MANIFEST)):
        write_atomic(out / name, (bundle / name).read_bytes())


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder outside every repository: in one, Codex would look for instructions."""
    folder = Path(tempfile.mkdtemp(prefix="mlactions-ask-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def has_key(environ: Mapping[str, str]) -> bool:
    """Tell whether Codex has a key, or was logged in."""
    return bool(_key(environ)) or _login(environ).is_file()


def _key(environ: Mapping[str, str]) -> str:
    return environ.get(KEY_VARIABLE) or environ.get("OPENAI_API_KEY") or ""


def _login(environ: Mapping[str, str]) -> Path:
    """Return where `codex login` keeps its tokens."""
    home = environ.get("CODEX_HOME") or os.path.join(environ.get("HOME", "/"), ".codex")  # noqa: PTH118  # may be empty
    return Path(home) / "auth.json"


def call_codex(
    workspace: Workspace,
    call: Call,
    codex: str,
    environ: Mapping[str, str],
    *,
    directory: Path | None = None,
) -> tuple[str, str]:
    """Run Codex to its end or its time limit; return the outcome as GitHub would name it.

    The second text says how the process ended, and what it said last. Codex reads the facts, or
    writes in a `directory`, and nowhere else.
    """
    command = exec_arguments(
        directory=directory or workspace.facts,
        sandbox="workspace-write" if directory else "read-only",
        schema=workspace.schema,
        answer=workspace.answer,
        model=call.model,
        effort=call.effort,
    )
    environment = _environment(workspace, environ)
    log = workspace.folder / "codex.log"
    with workspace.prompt.open("rb") as prompt, log.open("wb") as errors:
        try:
            process = subprocess.Popen(
                [codex, *command[1:]],
                stdin=prompt,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return "failure", f"{codex} cannot be started: {error.strerror}"
        code = _wait(process, call.seconds)
    if code is None:
        return "cancelled", _with_tail(f"stopped after {call.seconds / 60:g} minutes", log)
    how = f"exit code {code}" if code >= 0 else f"ended by signal {-code}"
    return "failure" if code else "success", _with_tail(how, log)


def _environment(workspace: Workspace, environ: Mapping[str, str]) -> dict[str, str]:
    environment = {**user_environment(environ), "CODEX_HOME": str(workspace.home)}
    if key := _key(environ):
        environment[KEY_VARIABLE] = key
    elif _login(environ).is_file():
        # A link, so that a token Codex renews is renewed for its owner too.
        (workspace.home / "auth.json").symlink_to(_login(environ))
    return environment


def _with_tail(how: str, log: Path) -> str:
    """Add the last lines that Codex printed, without colours; the end matters most."""
    text = _ESCAPE.sub("", log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace"))
    lines = [line.strip() for line in printable(text).splitlines() if line.strip()]
    # What stands after this line is how the server's end broke, at any length.
    if first := [number for number, line in enumerate(lines) if NO_SERVER.search(line)]:
        return f"{how}: {' / '.join(lines[first[0] :])[:TAIL_CHARACTERS]}"
    said = " / ".join(lines[-TAIL_LINES:])
    cut = "…" if len(said) > TAIL_CHARACTERS else ""
    return f"{how}: {cut}{said[-TAIL_CHARACTERS:]}" if said else how


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code, None at the time limit."""
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
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
