"""The command line: every way to end has its exit code and one line that says why."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from mlactions import __main__ as cli
from mlactions.errors import AgentError, Exit, Interrupted, UserError
from mlactions.runner import Runner

ROOT = Path(__file__).resolve().parent.parent


def run_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run a word whose command raises; the real group, handlers and exit codes."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(cli, "WORDS", {"word": (__name__, "test")})
    monkeypatch.setattr(sys.modules[__name__], "command", command, raising=False)
    stream = io.StringIO()
    code = cli.run(["word"], Runner(environ={"GITHUB_ACTIONS": "true"}, stream=stream))
    return code, stream.getvalue()


def said(*arguments: str) -> str:
    stream = io.StringIO()
    assert cli.run(list(arguments), Runner(environ={}, stream=stream)) == Exit.BAD_INPUT
    return stream.getvalue()


def test_an_option_before_its_command_is_told_where_it_belongs() -> None:
    assert "`ask run` has: mlactions ask run --bundle …" in said("ask", "--bundle", "build/compare")
    assert "No such option '--nope'" in said("ask", "--nope")


def test_a_comment_on_a_laptop_is_told_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_REPOSITORY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    told = said("comment", "--result", str(tmp_path), "--out", str(tmp_path / "out"))
    assert "`comment` runs in a workflow" in told
    assert "set it to owner/name and INPUT_TOKEN" in told


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            UserError("not YAML", "found a tab.", "Use spaces.", "b.yaml", 3),
            2,
            "::error file=b.yaml,line=3,title=not YAML::found a tab. Use spaces.\n",
        ),
        (AgentError("no answer", "it is empty."), 3, "::error title=no answer::it is empty.\n"),
        (
            click.UsageError("No such option: --x"),
            2,
            "::error title=bad input::No such option: --x\n",
        ),
        (Interrupted(signal.SIGTERM), 143, "Interrupted by SIGTERM.\n"),
        (Interrupted(signal.SIGINT), 130, "Interrupted by SIGINT.\n"),
    ],
)
def test_every_error_is_one_line(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_with(error, monkeypatch) == (code, line)


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run_with(ZeroDivisionError("one by zero"), monkeypatch)

    assert code == 70
    assert "ZeroDivisionError: one by zero" in output
    assert output.rstrip().endswith("::Please report the traceback above.")


def launch(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts/run", *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def version(script: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher in an environment that is nobody's."""
    return subprocess.run(
        [script, "--version"],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


HOMELESS = pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "/proc/none"}])


@HOMELESS
def test_without_a_home_the_launcher_works_from_a_folder_of_its_own(
    tmp_path: Path, home: dict[str, str]
) -> None:
    launch("--version")
    own = tmp_path / f"mlactions-{os.getuid()}"
    own.mkdir()
    (own / "mlactions").symlink_to(Path(os.environ["HOME"]) / ".cache/mlactions")

    done = version(ROOT / "scripts/run", TMPDIR=str(tmp_path), **home)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mlactions, version ")


@HOMELESS
def test_without_a_home_uv_is_told_where_to_work(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "uv").write_text(f"#!/bin/sh\nenv > {tmp_path}/told\nexit 9\n")
    (tmp_path / "uv").chmod(0o755)

    path = f"{tmp_path}:{os.environ['PATH']}"
    done = version(ROOT / "scripts/run", TMPDIR=str(tmp_path), PATH=path, **home)

    own = tmp_path / f"mlactions-{os.getuid()}"
    told = (tmp_path / "told").read_text()
    assert done.returncode == 9
    assert f"\nXDG_CACHE_HOME={own}\n" in f"\n{told}"
    assert f"UV_PROJECT_ENVIRONMENT={own}/mlactions/env-" in told
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_a_folder_that_another_could_have_prepared_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"mlactions-{os.getuid()}").symlink_to(tmp_path / "theirs")

    done = version(ROOT / "scripts/run", TMPDIR=str(tmp_path))

    assert done.returncode == Exit.BAD_INPUT
    assert done.stderr.startswith("error: there is no folder for the environment: set HOME")
    assert not list((tmp_path / "theirs").iterdir())


SERVER, DATABASE = "http://127.0.0.1:9", "sqlite:///m.db"


@pytest.mark.parametrize(
    ("arguments", "environ", "extras"),
    [
        ("analyze", {}, ["mlflow"]),
        (f"analyze --tracking-uri {SERVER}", {}, []),
        (f"analyze --tracking-uri={SERVER}", {"MLFLOW_TRACKING_URI": DATABASE}, []),
        (f"analyze --tracking-uri {DATABASE}", {"MLFLOW_TRACKING_URI": SERVER}, ["mlflow"]),
        (f"analyze --tracking-uri {DATABASE} --filter x='see http://x'", {}, ["mlflow"]),
        ("analyze", {"INPUT_TRACKING_URI": DATABASE, "MLFLOW_TRACKING_URI": SERVER}, ["mlflow"]),
        (f"analyze --tracking-uri {SERVER} --ask", {}, ["mcp", "hydra"]),
        ("drift --tracking-uri mlruns", {"MLFLOW_TRACKING_URI": SERVER}, ["mlflow"]),
        ("drift", {"MLFLOW_TRACKING_URI": SERVER}, []),
        ("diagnose --log train.log", {}, []),
        ("sweep --config-name train", {}, ["sweep"]),
        ("sweep --config-name train", {"MLFLOW_TRACKING_URI": DATABASE}, ["sweep", "mlflow"]),
        (f"sweep status --tracking-uri {SERVER}", {}, ["sweep"]),
        ("sweep status", {}, ["sweep", "mlflow"]),
        ("ask run --mcp mlflow", {}, ["mcp"]),
    ],
)
def test_a_word_gets_what_it_needs_to_read_from_where_it_is_told(
    tmp_path: Path, arguments: str, environ: dict[str, str], extras: list[str]
) -> None:
    (tmp_path / "uv").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/told\nexit 9\n')
    (tmp_path / "uv").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "scripts/run", *shlex.split(arguments)],
        env={"PATH": path, "HOME": str(tmp_path), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 9, done.stderr
    told = (tmp_path / "told").read_text().splitlines()
    assert [line.partition("=")[2] for line in told if line.startswith("--extra=")] == extras
    assert f"what `{arguments.split(maxsplit=1)[0]}` needs" in done.stderr


def test_setting_up_leaves_the_path_of_user_code_alone(tmp_path: Path) -> None:
    """The folder of the uv that `make` brings holds a Python, which is not the user's."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "uv.lock").touch()
    shutil.copy(ROOT / "scripts/run", tmp_path / "scripts/run")
    tools = tmp_path / ".tools/uv/bin"
    tools.mkdir(parents=True)
    python = "$UV_PROJECT_ENVIRONMENT/bin/python"
    (tools / "uv").write_text(
        f"""#!/bin/sh
        mkdir -p "${{UV_PROJECT_ENVIRONMENT}}/bin"
        printf '#!/bin/sh\ntr "\\\\000" "\\\\n" <&3\n' >"{python}"
        chmod +x "{python}"
        """
    )
    (tools / "uv").chmod(0o755)
    path = f"{tmp_path}/empty:/usr/bin:/bin"

    for setting_up in (True, False):
        done = version(tmp_path / "scripts/run", HOME=str(tmp_path), PATH=path)
        assert (done.returncode, "setting up" in done.stderr) == (0, setting_up), done.stderr
        assert f"PATH={path}" in done.stdout.splitlines()


@pytest.mark.parametrize("absolute", [True, False])
def test_the_launcher_may_be_a_link(tmp_path: Path, absolute: bool) -> None:
    target = ROOT / "scripts/run"
    (tmp_path / "bin").mkdir()
    (tmp_path / "first").symlink_to(target if absolute else os.path.relpath(target, tmp_path))
    (tmp_path / "bin/mlactions").symlink_to("../first")

    done = version(tmp_path / "bin/mlactions", HOME=os.environ["HOME"], CDPATH=".")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mlactions, version ")


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["compare", "--nosuch"], ["compare"], ["evaluate", "--jobs", "many"]]
)
def test_bad_usage_is_one_line_and_two(arguments: list[str]) -> None:
    done = launch(*arguments)

    assert done.returncode == Exit.BAD_INPUT
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["ask"]])
def test_a_bare_group_shows_its_help(arguments: list[str]) -> None:
    done = launch(*arguments)

    assert (done.returncode, done.stdout) == (Exit.BAD_INPUT, "")
    assert done.stderr.startswith("Usage: mlactions")
    assert "\nCommands:\n" in done.stderr


@pytest.mark.parametrize("word", ["", *cli.WORDS])
def test_help_is_for_people(word: str) -> None:
    done = launch(*word.split(), "--help")

    assert done.returncode == 0
    assert "Usage: mlactions" in done.stdout
    assert "INPUT_" not in done.stdout, "actions pass variables, nobody types them"
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("word", "headings"),
    [
        ("analyze", ["Which runs", "How they are read", "Verdict", "Output", "Options"]),
        ("drift", ["What is in production", "What was deployed", "Verdict", "Output", "Options"]),
        ("discover", ["What to look for", "What it must hold to", "Output", "Options"]),
    ],
)
def test_help_groups_its_options_and_ends_with_a_command_to_type(
    word: str, headings: list[str]
) -> None:
    said = launch(word, "--help").stdout
    assert re.findall(r"^(\S.*):$", said, re.MULTILINE) == headings
    assert f"  mlactions {word} --" in said.partition("Example:")[2]


def test_sigterm_ends_a_running_command_with_143(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "model.yaml").write_text("name: model\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    arguments = ["--configs", "model.yaml", "--select", "all", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [
            str(ROOT / "scripts/run"),
            "evaluate",
            "--command",
            "sleep 60 {config} {output}",
            *arguments,
        ],
        cwd=repository,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("out/logs/**/*.log")) and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert (tmp_path / "out" / "manifest.json").is_file()
