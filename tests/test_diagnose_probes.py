"""The probes on models that are well and look ill, and the other way round; with a real torch."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.diagnose.command import PROBE_WORD
from mlactions.diagnose.model import Settings, Training
from mlactions.diagnose.result import diagnose
from mlactions.runner import Runner
from tests.ask_cases import write
from tests.test_diagnose import PYTHON

MADE = """\
import torch
from torch import nn


class HeadFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 3)
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.ReLU())

    def forward(self, inputs):
        return self.head(self.backbone(inputs))


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = HeadFirst()

    def forward(self, mask, values):
        return self.inner(values)


class Cut(HeadFirst):
    def forward(self, inputs):
        return self.head(self.backbone(inputs).detach())


class Functional(HeadFirst):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Identity()
        self.dead = nn.Linear(8, 16)
        with torch.no_grad():
            self.dead.bias[:15] = -50.0

    def forward(self, inputs):
        return self.head(torch.relu(self.dead(inputs)))


def setup(variant):
    torch.manual_seed(0)
    inputs = torch.randn(96, 8)
    targets = inputs[:, :3].argmax(1)
    model = {"masked": Masked, "cut": Cut, "functional": Functional}.get(variant, HeadFirst)()
    if variant == "frozen-backbone":
        model.backbone.requires_grad_(False)
    elif variant == "frozen-head":
        model.head.requires_grad_(False)
    elif variant == "pixels":
        inputs = inputs * 50 + 128
        model = nn.Sequential(nn.BatchNorm1d(8), model)
    elif variant == "saturated":
        model = nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), nn.Linear(16, 16), nn.Sigmoid())
        model.append(nn.Linear(16, 3))
    elif variant == "prices":
        model = nn.Sequential(nn.Linear(8, 1))
        targets = 200_000 + 50_000 * inputs[:, 0]
    pairs = [(inputs[:64], targets[:64]), (inputs[64:], targets[64:])]
    if variant == "masked":
        pairs = [{"mask": torch.ones(len(y), 8), "values": x, "labels": y} for x, y in pairs]
    trained = [p for p in model.parameters() if p.requires_grad]
    rate = 1e4 if variant == "prices" else 1e-2
    optimizer = torch.optim.Adam(trained, lr=rate)
    return {"model": model, "train": pairs[:1], "validation": pairs[1:], "optimizer": optimizer}
"""
WANTED = ("one-batch", "gradients", "activations", "inputs", "overlap")
EXPECTED = {
    "frozen-backbone": None,
    "frozen-head": "frozen-parameters",
    "masked": None,
    "cut": "no-gradient",
    "functional": "dead-activations",
    "pixels": None,
    "saturated": None,
    "prices": None,
}


@pytest.mark.parametrize("variant", EXPECTED)
def test_what_a_probe_says_is_so(tmp_path: Path, variant: str) -> None:
    write(tmp_path / "made.py", MADE)
    command = ["diagnose", "probe", "--setup", "made:setup", "--python", str(PYTHON)]
    command += ["--setup-arguments", json.dumps({"variant": variant}), "--out", f"{tmp_path}/out"]
    command += [f"--probes={name}" for name in WANTED]
    said = io.StringIO()
    assert run([*command, "--working-directory", str(tmp_path)], Runner({}, said)) == 0, (
        said.getvalue()
    )
    bundle = open_bundle(tmp_path / "out", word=PROBE_WORD)
    answers = bundle.json("probes.json", schema="diagnose-probe")["probes"]
    assert set(answers) == set(WANTED)
    falls = {"loss": tuple((step, 2.0 * 0.97**step) for step in range(60))}
    found = diagnose(Training("log", "x", falls), Settings(Path()), answers)
    codes = [cause.code for cause in found.causes if cause.strength != "possible"]
    wanted = EXPECTED[variant]
    assert codes[:1] == ([wanted] if wanted else []), found.verdict
    if wanted is None:
        assert found.status == "pass", [(sign.code, sign.message) for sign in found.signs]
