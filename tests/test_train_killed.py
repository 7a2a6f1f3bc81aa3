"""The digits example killed at ten random points ends as if it never had been; bit for bit."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlactions.train.handshake import read_checkpoints

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "digits"
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
KILLS = 10
EPOCHS = 24
PATIENCE = 240.0
WEIGHTS = """
import hashlib, sys, torch
state = torch.load(sys.argv[1], weights_only=True)["weights"]
told = hashlib.sha256()
for name in sorted(state):
    told.update(name.encode() + state[name].numpy().tobytes())
print(told.hexdigest())
"""


class Training:
    """Runs of the example with one folder of checkpoints."""

    def __init__(self, folder: Path) -> None:
        assert PYTHON.exists(), "run `make test`, which sets the example's environment up"
        self.folder = folder
        self.checkpoints = folder / "checkpoints"
        self.log = folder / "log"
        folder.mkdir()

    def start(self) -> subprocess.Popen[bytes]:
        """Start training, or continue."""
        command = [str(PYTHON), "scripts/train.py", "--config-name", "smoke_test"]
        command += ["tracking.enabled=false", f"training.epochs={EPOCHS}"]
        command += [f"hydra.run.dir={self.folder / 'hydra'}"]
        environ = {"PATH": os.environ["PATH"], "MLACTIONS_CHECKPOINTS": str(self.checkpoints)}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=EXAMPLE, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def finish(self) -> None:
        """Train to the end."""
        assert self.start().wait(timeout=PATIENCE) == 0, self.log.read_text()

    def step(self) -> int:
        """Return the last epoch that was saved, or 0."""
        return int(self.pointer().get("step", 0))

    def pointer(self) -> Mapping[str, Any]:
        """Return what `latest.json` says."""
        path = self.checkpoints / "latest.json"
        found: Mapping[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def kill_after(self, epochs: int, delay: float) -> int:
        """Start, wait for some more epochs and a moment, SIGKILL; return the epoch reached."""
        process = self.start()
        wanted = self.step() + epochs
        deadline = time.monotonic() + PATIENCE
        while self.step() < wanted and process.poll() is None:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.002)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return self.step()

    def result(self) -> tuple[str, float]:
        """Return the hash of the final weights, and the last loss to the last digit."""
        model = self.folder / "hydra" / "model.pt"
        weights = subprocess.check_output([str(PYTHON), "-c", WEIGHTS, str(model)], text=True)
        return weights.strip(), float(self.pointer()["metric"]["value"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Train once, without an interruption."""
    training = Training(tmp_path_factory.mktemp("undisturbed") / "run")
    training.finish()
    return training


def metrics(training: Training) -> dict[str, str]:
    """Return what each epoch logged; one that was run twice has to say the same again."""
    said: dict[str, str] = {}
    for epoch, told in re.findall(r"epoch (\d+): (.+)", training.log.read_text()):
        assert said.setdefault(epoch, told) == told
    return said


def test_ten_kills_change_nothing(undisturbed: Training, tmp_path: Path) -> None:
    chance = random.Random(20)  # noqa: S311  # the same points every time
    training = Training(tmp_path / "killed")
    reached = [
        training.kill_after(chance.randint(0, 2), chance.uniform(0, 0.15)) for _ in range(KILLS)
    ]
    assert reached == sorted(reached)  # nothing that was saved is lost
    assert 0 < reached[-1] < EPOCHS, reached  # it was killed in the middle, ten times
    training.finish()
    assert training.result() == undisturbed.result()
    assert metrics(training) == metrics(undisturbed)


@pytest.mark.parametrize("damage", ["truncated", "altered"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(
    undisturbed: Training, tmp_path: Path, damage: str
) -> None:
    training = Training(tmp_path / "damaged")
    shutil.copytree(undisturbed.checkpoints, training.checkpoints)
    path = training.checkpoints / training.pointer()["path"]
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)

    found = read_checkpoints(training.checkpoints)
    assert found.latest is not None
    assert found.latest.step == EPOCHS - 1
    assert [one.step for one in found.refused] == [EPOCHS]
    if damage == "truncated":
        return  # what follows is the same for both, and takes its time

    training.finish()
    assert "is damaged: trying the one before" in training.log.read_text()
    assert f"resumed after epoch {EPOCHS - 1}" in training.log.read_text()
    assert training.result() == undisturbed.result()
