"""The probes on models that are well and look ill, and the other way round; with a real torch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.diagnose.command import PROBE_WORD
from mlactions.diagnose.model import Settings, Training
from mlactions.diagnose.result import Diagnosis, diagnose
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


# A frozen base and head, and a low-rank adapter beside them, as in fine-tuning.
class Adapted(HeadFirst):
    def __init__(self):
        super().__init__()
        self.requires_grad_(False)
        self.down, self.up = nn.Linear(8, 4, bias=False), nn.Linear(4, 16, bias=False)

    def forward(self, inputs):
        return self.head(self.backbone(inputs) + self.up(self.down(inputs)))


# A residual branch that starts at zero, so its first layer has no gradient at first.
class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.Linear(8, 8), nn.Linear(8, 8)
        nn.init.zeros_(self.out.weight)

    def forward(self, inputs):
        return inputs + self.out(torch.tanh(self.inner(inputs)))


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
    made = {"masked": Masked, "cut": Cut, "functional": Functional, "adapted": Adapted}
    model = made.get(variant, HeadFirst)()
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
    elif variant == "zero-branches":
        model = nn.Sequential(Branch(), Branch(), nn.Linear(8, 3))
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
    "frozen-head": None,
    "adapted": None,
    "zero-branches": None,
    "masked": None,
    "cut": "no-gradient",
    "functional": "dead-activations",
    "pixels": None,
    "saturated": None,
    "prices": None,
}


@pytest.mark.parametrize("variant", EXPECTED)
def test_what_a_probe_says_is_so(tmp_path: Path, variant: str) -> None:
    answers = probed(tmp_path, variant)
    assert set(answers) == set(WANTED)
    found = judged(answers, 0.97)
    codes = [cause.code for cause in found.causes if cause.strength != "possible"]
    wanted = EXPECTED[variant]
    assert codes[:1] == ([wanted] if wanted else []), found.verdict
    if wanted is None:
        assert found.status == "pass", [(sign.code, sign.message) for sign in found.signs]


# What a frozen head is held to: the share of the loss that each step keeps, and what follows.
HEADS = {
    ("frozen-head", 0.97): (None, "pass"),
    ("frozen-head", 0.994): ("shown", "fail"),
    ("frozen-head", 1.0): ("shown", "fail"),
    ("adapted", 0.97): (None, "pass"),
    ("adapted", 0.994): ("possible", "pass"),
    ("adapted", 1.0): ("shown", "fail"),
}


@pytest.mark.parametrize(("variant", "kept"), HEADS)
def test_a_frozen_head_is_a_fault_only_where_the_run_is_ill(
    tmp_path: Path, variant: str, kept: float
) -> None:
    found = judged(probed(tmp_path, variant), kept)
    strength, status = HEADS[variant, kept]
    strengths = {cause.code: cause.strength for cause in found.causes}
    assert (strengths.get("frozen-parameters"), found.status) == (strength, status), found.verdict
    frozen = next(sign for sign in found.signs if sign.code == "head-frozen")
    assert "is that meant?" in frozen.message


def test_a_frozen_head_is_the_cause_where_one_batch_is_not_learnt(tmp_path: Path) -> None:
    answers = probed(tmp_path, "frozen-head")
    answers["one-batch"] |= {"first": 2.0, "last": 1.9, "falling": False}
    found = judged(answers, 0.97)
    assert (found.causes[0].code, found.causes[0].strength) == ("frozen-parameters", "shown")


def probed(tmp_path: Path, variant: str) -> dict[str, Any]:
    """Return what the probes measured of a variant."""
    write(tmp_path / "made.py", MADE)
    command = ["diagnose", "probe", "--setup", "made:setup", "--python", str(PYTHON)]
    command += ["--setup-arguments", json.dumps({"variant": variant}), "--out", f"{tmp_path}/out"]
    command += [f"--probes={name}" for name in WANTED]
    said = io.StringIO()
    assert run([*command, "--working-directory", str(tmp_path)], Runner({}, said)) == 0, (
        said.getvalue()
    )
    bundle = open_bundle(tmp_path / "out", word=PROBE_WORD)
    answers: dict[str, Any] = bundle.json("probes.json", schema="diagnose-probe")["probes"]
    return answers


def judged(answers: dict[str, Any], kept: float) -> Diagnosis:
    """Judge the probes beside a loss of which each step keeps a share."""
    falls = {"loss": tuple((step, 2.0 * kept**step) for step in range(60))}
    return diagnose(Training("log", "x", falls), Settings(Path()), answers)
