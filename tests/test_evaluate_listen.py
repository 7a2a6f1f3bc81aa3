"""Asking a program: what it prints, and nobody left behind whatever it does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlactions.evaluate.listen import listen


def ask(tmp_path: Path, program: str, *arguments: str, seconds: float = 30) -> str | None:
    return listen(
        [sys.executable, "-c", program, *arguments],
        folder=tmp_path,
        environ=dict(os.environ),
        seconds=seconds,
        stop=threading.Event(),
    )


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('größe')", "größe\n"),
        ("print('x' * 1_000_000, end='')", "x" * 1_000_000),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "\ufffd"),
        ("print(1); raise SystemExit(3)", None),
        ("import os; os.kill(os.getpid(), 9)", None),
    ],
)
def test_the_answer_is_what_a_program_prints_that_ends_well(
    tmp_path: Path, program: str, said: str | None
) -> None:
    assert ask(tmp_path, program) == said


def test_a_program_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    said = listen(["/no/such"], folder=tmp_path, environ={}, seconds=1, stop=threading.Event())

    assert said is None


def test_an_answer_that_takes_too_long_is_none(tmp_path: Path) -> None:
    started = time.monotonic()

    assert ask(tmp_path, "print(1, flush=True); import time; time.sleep(60)", seconds=0.5) is None
    assert time.monotonic() - started < 40


def test_a_child_that_keeps_the_pipe_open_ends_too(tmp_path: Path) -> None:
    marker = f"kept-open-{os.getpid()}"
    child = "import time; time.sleep(60)"
    program = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}, {marker!r}])"
    )

    ask(tmp_path, program, seconds=1)

    listed = subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True)
    assert not [line for line in listed.stdout.splitlines() if line.endswith(marker)]


def test_nothing_is_asked_after_a_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    command = [sys.executable, "-c", "open('asked', 'w')"]

    said = listen(command, folder=tmp_path, environ=dict(os.environ), seconds=9, stop=stop)

    assert said is None
    assert not (tmp_path / "asked").exists()
