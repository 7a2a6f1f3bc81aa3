"""Each sign on curves and settings that are made for it, and its silence on those that are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlactions.diagnose.model import Settings, Training
from mlactions.diagnose.result import Diagnosis, diagnose

Curve = Callable[[float], float]
POINTS = 60


def falling(share: float) -> float:
    return 0.1 + 2.2 * math.exp(-4 * share)


def trained(params: Mapping[str, Any] | None = None, **curves: Curve) -> Diagnosis:
    """Diagnose curves over the share of the run that is done."""
    series = {
        name: tuple((step, curve(step / (POINTS - 1))) for step in range(POINTS))
        for name, curve in curves.items()
    }
    settings = Settings(Path(), classes=10)
    return diagnose(Training("log", "x", series, params or {}), settings, {})


def codes(found: Diagnosis) -> set[str]:
    return {sign.code for sign in found.signs}


def wave(share: float) -> float:
    return 1.5 + math.sin(share * 25)


def u_shape(share: float) -> float:
    return 0.5 + 6 * (share - 0.3) ** 2


CURVES: dict[str, tuple[dict[str, Any], dict[str, Curve], str | None]] = {
    "non-finite": ({}, {"loss": lambda s: falling(s) if s < 0.5 else math.nan}, None),
    "diverged": ({}, {"loss": lambda s: 2.3 + 5 * s}, None),
    "never-moved": ({}, {"loss": lambda s: 1.1 + 0.001 * math.sin(40 * s)}, None),
    "at-constant": ({}, {"loss": lambda s: 2.4 - 0.1 * min(5 * s, 1)}, None),
    "slow": ({}, {"loss": lambda s: 2.4 - 0.1 * s}, "trains-slowly"),
    "flat": (
        {"lr": 1e-2, "optimizer": "AdamW"},
        {"loss": lambda s: 10.8 if s < 0.02 else 7.6 + 0.05 * math.sin(91 * s)},
        "learning-rate-too-high",
    ),
    "spike": ({}, {"loss": lambda s: falling(s) if abs(s - 0.5) > 0.01 else 1e30}, None),
    "held-out-at-constant": ({}, {"loss": falling, "val_loss": lambda s: 2.3 + s}, None),
    "late-start": ({}, {"loss": lambda s: 1.1 if s < 0.6 else 1.1 - (s - 0.6)}, None),
    "over-fitting": ({}, {"train_loss": falling, "val_loss": u_shape}, "over-fitting"),
    "oscillation": ({}, {"loss": wave}, None),
    "rate-zero": ({}, {"loss": lambda _: 1.2, "lr": lambda _: 0.0}, "learning-rate-too-low"),
    "rate-gone-early": (
        {},
        {"loss": falling, "lr": lambda s: 0.1 if s < 0.2 else 1e-9},
        "schedule-ends-early",
    ),
    "rate-rising-to-end": (
        {"lr": 0.1},
        {"loss": falling, "lr": lambda s: 0.001 + 0.03 * s},
        "warm-up-longer-than-run",
    ),
    "rate-high": ({"lr": 3.0, "optimizer": "SGD"}, {"loss": wave}, "learning-rate-too-high"),
    "rate-low": (
        {"optim.lr": 1e-9, "optimizer": "AdamW"},
        {"loss": lambda _: 1.2},
        "learning-rate-too-low",
    ),
    "decay-high": (
        {"weight_decay": 0.2, "optimizer": "SGD"},
        {"loss": falling},
        "weight-decay-too-high",
    ),
    "warm-up-beyond-run": (
        {"warmup_steps": 500, "max_steps": 400},
        {"loss": falling},
        "warm-up-longer-than-run",
    ),
    "warm-up-long": ({"warmup_ratio": 0.8}, {"loss": falling}, "warm-up-long"),
    "gradient-zero": ({}, {"loss": lambda _: 1.2, "grad_norm": lambda _: 0.0}, "no-gradient"),
    "gradient-explodes": (
        {},
        {"loss": falling, "grad_norm": lambda s: 1e4 if 0.4 < s < 0.42 else 1.0},
        None,
    ),
    "clipping-always": (
        {"max_grad_norm": 1.0},
        {"loss": falling, "grad_norm": lambda s: 2 + s},
        None,
    ),
    "clipping-never": (
        {"max_grad_norm": 5.0},
        {"loss": falling, "grad_norm": lambda s: 2 + s},
        None,
    ),
}


@pytest.mark.parametrize("code", CURVES)
def test_a_sign_is_raised_and_its_cause_named(code: str) -> None:
    params, curves, cause = CURVES[code]
    found = trained(params, **curves)
    assert code in codes(found), found.verdict
    if cause is not None:
        assert found.causes[0].code == cause, found.verdict
        assert code in found.causes[0].evidence


HEALTHY: dict[str, tuple[dict[str, Any], dict[str, Curve]]] = {
    "plain": ({}, {"train_loss": falling, "val_loss": lambda s: falling(s) + 0.05}),
    "noisy batches": (
        {},
        {"loss": lambda s: falling(s) + 0.15 * math.sin(s * 1e4)},
    ),
    "fine-tuning": (
        {"lr": 2e-5, "optimizer": "AdamW", "warmup_ratio": 0.06, "weight_decay": 0.1},
        {"loss": lambda s: 1.9 - 0.3 * s},
    ),
    "warm-up, then cosine": (
        {"lr": 0.1, "optimizer": "SGD", "weight_decay": 5e-4, "warmup_epochs": 5, "epochs": 90},
        {
            "loss": falling,
            "lr": lambda s: 0.1 * min(s / 0.05, 0.5 * (1 + math.cos(math.pi * s))),
        },
    ),
    "a constant rate": ({"lr": 1e-3}, {"loss": falling, "lr": lambda _: 1e-3}),
    "a little over its best": (
        {},
        {"train_loss": falling, "val_loss": lambda s: falling(min(s, 0.9)) + 0.001 * s},
    ),
    "steps in epochs": (
        {"step_size": 30, "epochs": 60},
        {"loss": falling, "lr": lambda s: 0.1 if s < 0.5 else 0.01},
    ),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_a_run_that_is_well_raises_no_alarm(case: str) -> None:
    params, curves = HEALTHY[case]
    found = trained(params, **curves)
    assert (found.status, found.causes) == ("pass", ()), found.verdict


def test_an_unusual_setting_that_harmed_nothing_only_warns() -> None:
    found = trained({"lr": 0.05, "optimizer": "Adam"}, loss=falling)
    assert found.status == "warn"
    assert found.causes[0].strength == "possible"


def test_memory_is_named_where_the_log_ends_for_want_of_it() -> None:
    error = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    training = Training("log", "x", {"loss": ((1, 2.0),)}, error=error)
    found = diagnose(training, Settings(Path()), {})
    assert (found.causes[0].code, found.causes[0].strength) == ("out-of-memory", "shown")


def test_without_a_number_of_classes_nothing_is_held_against_a_constant() -> None:
    series = {"loss": tuple((step, 2.4 - 0.001 * step) for step in range(20))}
    found = diagnose(Training("log", "x", series), Settings(Path()), {})
    assert found.constant is None
    assert "at-constant" not in codes(found)
