"""SIGINT and SIGTERM: children end, results stay, nothing is left in the checkout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlactions.bundle import open_bundle
from tests.evaluate_support import (
    COMMAND,
    GOOD,
    Ran,
    Repository,
    make_project,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    repository = make_project(tmp_path / "repo")
    monkeypatch.chdir(repository.root)
    return repository


def interrupt(tmp_path: Path, number: signal.Signals, *arguments: str) -> Ran:
    """Start the command, wait until an evaluation says so, send a signal."""
    launcher = Path(__file__).parents[1] / "scripts"
    process = subprocess.Popen(
        [
            *(sys.executable, str(launcher), "evaluate", "--out", str(tmp_path / "out")),
            *("--command", COMMAND, "--configs", "configs/*.yaml", *arguments),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 30
    while not (tmp_path / "started").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(number)
    text = process.communicate(timeout=30)[1]
    return Ran(process.returncode, text, tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_had(
    project: Repository, tmp_path: Path, number: signal.Signals
) -> None:
    marker = f"left-{os.getpid()}-{number}"
    sleeper = f"""
import subprocess
Path({str(tmp_path / "started")!r}).touch()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.run(["python", "-c", "import time; time.sleep(60)", {marker!r}])
"""
    project.write({"configs/b.yaml": sleeper, "configs/c.yaml": GOOD})

    ran = interrupt(tmp_path, number, "--select", "all")

    assert ran.code == 128 + number
    assert ran.outcomes == {"a": "ok", "b": "interrupted", "c": "not-run"}
    open_bundle(ran.out, word="evaluate")
    assert ran.json("metrics/a.json")["metrics"] == {"accuracy": [0.9]}
    assert ran.json("result.json")["status"] == "fail"
    assert "Stopped early: 1 of 3 evaluations had ended ok." in ran.text
    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    assert marker not in listed.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_to_the_users_python_holds_no_signal_back(
    project: Repository, tmp_path: Path, number: signal.Signals
) -> None:
    marker = f"asked-{os.getpid()}-{number}"
    # The user's interpreter starts up slowly, deaf to signals, with a child of its own.
    slow = f"""#!/bin/sh
        trap '' TERM INT
        touch {tmp_path / "started"}
        {sys.executable} -c 'import time; time.sleep(60)' {marker} &
        sleep 60
        """
    project.write({"bin/python": slow})
    (project.root / "bin/python").chmod(0o755)
    command = "bin/python run.py {config} {seed} {output}"

    started = time.monotonic()
    ran = interrupt(tmp_path, number, "--select", "all", "--command", command)

    assert time.monotonic() - started < 45, "seconds; the question itself may take 60"
    assert ran.code == 128 + number
    assert set(ran.outcomes.values()) == {"not-run"}
    assert ran.json("result.json")["status"] == "fail"
    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    assert marker not in listed.stdout


def test_the_second_work_tree_goes_too(project: Repository, tmp_path: Path) -> None:
    waits = f"Path({str(tmp_path / 'started')!r}).touch(); time.sleep(60)"
    project.commit({"configs/a.yaml": waits})
    project.git("branch", "-f", "base")
    project.commit({"configs/a.yaml": GOOD})

    ran = interrupt(tmp_path, signal.SIGTERM, "--base-ref", "base", "--also-base")

    assert ran.code == 128 + signal.SIGTERM
    assert [(e["side"], e["outcome"]) for e in ran.evaluations] == [
        ("head", "ok"),
        ("base", "interrupted"),
    ]
    assert len(project.git("worktree", "list").splitlines()) == 1
