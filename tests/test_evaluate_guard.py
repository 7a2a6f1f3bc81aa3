"""What a killed command had started ends with it, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlactions.evaluate import guard
from mlactions.evaluate.guard import guarded

_COMMAND = """
import sys, time
sys.path.insert(0, sys.argv[1])
from mlactions.evaluate.guard import guarded
with guarded(int(sys.argv[2])):
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], start_new_session=True)


def test_a_group_ends_when_its_command_is_killed(sleeper: subprocess.Popen[bytes]) -> None:
    scripts = str(Path(guard.__file__).parents[2])
    command = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, scripts, str(sleeper.pid)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    assert sleeper.poll() is None
    command.kill()
    command.communicate(timeout=10)
    assert sleeper.wait(timeout=10) == -9


@pytest.mark.parametrize("raises", [False, True])
def test_a_group_outlives_a_context_that_ends(
    sleeper: subprocess.Popen[bytes], *, raises: bool
) -> None:
    try:
        with guarded(sleeper.pid):
            assert not raises or 1 / 0
    except ZeroDivisionError:
        assert raises
    time.sleep(0.2)
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


def test_a_system_without_a_shell_goes_on(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_SHELL", "/nowhere/sh")
    with guarded(sleeper.pid):
        assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()
