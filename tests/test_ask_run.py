"""`ask run`: Codex called by ourselves, on a laptop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlactions.ask import local
from mlactions.ask.workspace import Workspace
from mlactions.schema import resource
from tests.ask_cases import ANSWER, KEY, Project, Ran, ask, codex_path, make_project
from tests.fakes.model import FakeModel, hangs, runs, says

READ = runs("cat facts.json", "cat diff.patch")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a pull request whose comparison failed."""
    return make_project(tmp_path)


def ask_run(project: Project, endpoint: str, *more: str, **environ: str) -> tuple[Ran, Any]:
    """Ask at a shell prompt, which is no GitHub runner."""
    variables = {"PATH": codex_path(), "HOME": str(project.out.parent), "CODEX_API_KEY": KEY}
    variables |= {"GITHUB_ACTIONS": "", "COLUMNS": "100", "OPENAI_API_KEY": "", **environ}
    names = ["--bundle", str(project.bundle), "--repository", str(project.repository)]
    names += ["--base-ref", project.base, "--out", str(project.out)]
    names += ["--responses-api-endpoint", endpoint]
    ran = ask(project.out.parent / "step", "run", *names, *more, **variables)
    answer = project.out / "checked-answer.json"
    return ran, json.loads(answer.read_text()) if answer.exists() else None


@pytest.mark.parametrize("name", ["scripted-model", "gpt-6.1-sol"])
def test_an_answer(project: Project, name: str) -> None:
    """Models differ in how they call the shell: directly, or from a script."""
    with FakeModel(READ, says(ANSWER), key=KEY) as model:
        ran, checked = ask_run(project, model.endpoint, "--model", name)
        assert not any(KEY in request.everything for request in model.requests)
        assert model.others == []
    assert ran.code == 0
    assert checked["status"] == "answered"
    assert checked["claims"] == {"checked": 8, "held": 8}
    assert checked["usage"]["model"] == name
    assert "learning_rate = 0.5" in ran.said
    assert {path.name for path in project.out.iterdir()} == {
        "checked-answer.json",
        "report.md",
        "manifest.json",
    }


def test_an_openai_key_is_good_enough(project: Project) -> None:
    with FakeModel(READ, says(ANSWER), key=KEY) as model:
        _, checked = ask_run(project, model.endpoint, CODEX_API_KEY="", OPENAI_API_KEY=KEY)
    assert checked["status"] == "answered"


def test_the_runner_s_tokens_do_not_reach_codex(project: Project) -> None:
    show = runs("cat facts.json", "cat /proc/*/environ | tr '\\0' '\\n'; env")
    with FakeModel(show, says(ANSWER), key=KEY) as model:
        ask_run(project, model.endpoint, GITHUB_TOKEN="CANARY", HF_TOKEN="CANARY")
        assert "CANARY" not in " ".join(model.requests[1].tool_outputs)
        assert KEY not in " ".join(model.requests[1].tool_outputs)


def test_codex_gets_no_token_and_no_file_of_the_runner(project: Project) -> None:
    tools = project.out.parent / "tools"
    tools.mkdir()
    (tools / "codex").write_text("#!/bin/sh\nenv >&2\nexit 7\n")
    (tools / "codex").chmod(0o755)
    kept = {"CUDA_VISIBLE_DEVICES": "0", "PATH": f"{tools}:/usr/bin:/bin"}
    dropped = {"GITHUB_TOKEN": "CANARY-1", "ACTIONS_RUNTIME_TOKEN": "CANARY-2"}
    dropped |= {"BASH_ENV": "CANARY-3", "INPUT_SECRET": "CANARY-4"}
    environment = local._environment(
        Workspace(project.out), {**kept, **dropped, "OPENAI_API_KEY": KEY}
    )
    done = subprocess.run(
        [str(tools / "codex")], env=environment, capture_output=True, text=True, check=False
    )
    assert "CANARY" not in done.stderr
    assert "CUDA_VISIBLE_DEVICES=0" in done.stderr
    assert f"CODEX_HOME={project.workspace.home}" in done.stderr


@pytest.mark.parametrize("columns", ["abc", "-5", "0", ""])
def test_an_odd_width_is_no_bug(project: Project, columns: str) -> None:
    ran, checked = ask_run(
        project, "http://127.0.0.1:9/v1/responses", CODEX_API_KEY="", COLUMNS=columns
    )
    assert ran.code == 0
    assert checked["reason"] == "no-login"
    assert "Run `codex login`" in " ".join(ran.said.split())


def test_without_a_key_or_a_login(project: Project) -> None:
    ran, checked = ask_run(project, "http://127.0.0.1:9/v1/responses", CODEX_API_KEY="")
    assert ran.code == 0
    assert (checked["status"], checked["reason"]) == ("not-called", "no-login")
    assert "Run `codex login`, or set OPENAI_API_KEY." in ran.said


def test_a_login_is_used_and_stays_where_it_is(project: Project) -> None:
    login = project.out.parent / ".codex/auth.json"
    login.parent.mkdir()
    login.write_text(json.dumps({"OPENAI_API_KEY": KEY}))
    with FakeModel(READ, says(ANSWER)) as model:
        ask_run(project, model.endpoint, CODEX_API_KEY="")
    assert login.read_text() == json.dumps({"OPENAI_API_KEY": KEY})


def test_without_codex(project: Project) -> None:
    endpoint = "http://127.0.0.1:9/v1/responses"
    ran, checked = ask_run(project, endpoint, PATH="/usr/bin:/bin")
    assert (checked["status"], checked["reason"]) == ("not-called", "no-codex")
    copied = "`npm install -g @openai/codex@0.169.0`"
    assert copied in (project.out / "report.md").read_text()
    assert "`npm install -g @openai/codex@0.169.0`, then `codex login`" in " ".join(
        ran.said.split()
    )


BROKEN = r"""#!/bin/sh
echo CANARY-OUTPUT
for i in 1 2 3 4 5 6 7; do printf '\033[31mline %s\033[0m\n' $i >&2; done
printf 'bad \342\200\256flag of sk-secret99\n' >&2
exit 7
"""


def test_a_codex_that_fails_says_how(project: Project) -> None:
    tools = project.out.parent / "tools"
    tools.mkdir()
    (tools / "codex").write_text(BROKEN)
    (tools / "codex").chmod(0o755)

    ran, checked = ask_run(project, "http://127.0.0.1:9/v1/responses", PATH=f"{tools}:/bin")

    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "codex-failed")
    expected = "exit code 7: line 4 / line 5 / line 6 / line 7 / bad flag of [removed]"
    assert checked["detail"] == expected
    assert expected in " ".join(ran.said.split())
    assert "codex-action" not in ran.said


def test_on_github_nothing_it_prints_is_a_workflow_command(project: Project) -> None:
    tools = project.out.parent / "tools"
    tools.mkdir()
    shout = "printf '::error::CANARY\\n##[error]CANARY\\n' | tee /dev/stderr\nexit 7\n"
    (tools / "codex").write_text(f"#!/bin/sh\n{shout}")
    (tools / "codex").chmod(0o755)
    path = {"PATH": f"{tools}:/usr/bin:/bin", "GITHUB_ACTIONS": "true"}

    ran, checked = ask_run(project, "http://127.0.0.1:9/v1/responses", **path)

    assert checked["detail"] == "exit code 7: ::error::CANARY / ##[error]CANARY"
    obeyed = [line for line in ran.said.splitlines() if line.lstrip().startswith(("::", "##["))]
    assert [line.partition("::No")[0] for line in obeyed] == ["::warning title=ask"]


def test_a_codex_that_cannot_be_started(project: Project) -> None:
    tools = project.out.parent / "tools"
    tools.mkdir()
    (tools / "codex").write_text("#!/no/such/interpreter\n")
    (tools / "codex").chmod(0o755)

    _, checked = ask_run(project, "http://127.0.0.1:9/v1/responses", PATH=f"{tools}:/bin")

    assert checked["reason"] == "codex-failed"
    assert checked["detail"].endswith("codex cannot be started: No such file or directory")


def test_a_wrong_key(project: Project) -> None:
    with FakeModel(says(ANSWER), key=KEY) as model:
        ran, checked = ask_run(project, model.endpoint, "--required", "true", CODEX_API_KEY="no")
    assert ran.code == 3
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "auth")


def test_the_time_limit(project: Project) -> None:
    start = time.monotonic()
    with FakeModel(READ, hangs(), key=KEY) as model:
        ran, checked = ask_run(project, model.endpoint, "--timeout-minutes", "0.05")
    assert ran.code == 0
    assert (checked["status"], checked["reason"]) == ("infrastructure-failed", "timed-out")
    assert time.monotonic() - start < 3 + 30


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_ends_codex_too(project: Project, number: signal.Signals) -> None:
    with FakeModel(READ, hangs(), key=KEY) as model:
        names = ["--bundle", str(project.bundle), "--repository", str(project.repository)]
        names += ["--out", str(project.out), "--responses-api-endpoint", model.endpoint]
        environment = {"PATH": codex_path(), "HOME": str(project.out.parent)}
        process = subprocess.Popen(
            [sys.executable, "-I", str(resource("scripts")), "ask", "run", *names],
            env={**environment, "CODEX_API_KEY": KEY, "TMPDIR": str(project.out.parent)},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: len(model.requests) == 2)
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert f"Interrupted by {number.name}" in said
    assert not project.out.exists()
    assert not list(project.out.parent.glob("mlactions-ask-*"))
    wait_for(lambda: not using(project.out.parent))


def wait_for(condition: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def using(folder: Path) -> list[str]:
    """Return the command lines of processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{folder}/mlactions-ask" in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


def test_of_a_server_that_did_not_start_the_beginning_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = "Error: required MCP servers failed to initialize: mlflow: "
    log.write_text(f"INFO hello\n{first}{'handshake, ' * 60}broken pipe\n")
    told = local._with_tail("exit code 1", log)
    assert told.startswith(f"exit code 1: {first}handshake")
    assert len(told) <= len("exit code 1: ") + local.TAIL_CHARACTERS
