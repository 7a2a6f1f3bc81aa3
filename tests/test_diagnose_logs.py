"""Logs of runs that are well and of runs that are ill: what each is called, and what it is not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlactions.diagnose.logs import parse_log
from mlactions.diagnose.model import Settings, Training
from mlactions.diagnose.result import Diagnosis, diagnose

N = 100
ADAM: dict[str, Any] = {"lr": 1e-3, "optimizer": "adamw"}
SGD: dict[str, Any] = {"lr": 0.1, "optimizer": "sgd", "epochs": 90}


def fall(share: float, high: float = 2.2, low: float = 0.3) -> float:
    return low + (high - low) * math.exp(-4 * share)


def lines(line: Callable[[int, float], str], count: int = N) -> str:
    return "\n".join(line(at, at / (count - 1)) for at in range(count))


def diagnosed(text: str, params: dict[str, Any]) -> Diagnosis:
    log = parse_log(text)
    classes = params.get("num_classes")
    training = Training("log", "x", log.series, params, error=log.error, stepped=log.stepped)
    return diagnose(training, Settings(Path(), classes=classes), {})


NOISE = random.Random(0)  # noqa: S311  # noise of a loss
WELL: dict[str, tuple[str, dict[str, Any]]] = {
    "a rate with too few digits": (
        lines(lambda i, s: f"step={i} loss={fall(s):.4f} lr=0.0000"),
        {**ADAM, "lr": 2e-5},
    ),
    "a line every 100 steps, warm-up of 500 steps": (
        lines(lambda i, s: f"loss {fall(s):.4f} lr {min(1, (i + 1) / 5) * 1e-3:.6f}"),
        {**ADAM, "warmup_steps": 500},
    ),
    "a rate an epoch, warm-up in steps": (
        lines(lambda i, s: f"epoch={i + 1} train_loss={fall(s):.4f} lr={1e-3 * (1 - s):.6f}", 10),
        {**ADAM, "warmup_steps": 500, "epochs": 10},
    ),
    "the decay of an average": (
        lines(lambda i, s: f"step={i} loss={fall(s):.4f}"),
        {**ADAM, "ema.decay": 0.9999},
    ),
    "a rate that stands behind its warm-up": (
        lines(lambda i, s: f"step={i} loss={fall(s):.4f} lr={1e-3 * min(1, (i + 1) / 5):.6f}"),
        {**ADAM, "warmup_steps": 5, "max_steps": 100},
    ),
    "a detector's summed loss": (
        lines(lambda i, s: f"step={i} loss={2.35 + 10 * math.exp(-4 * s):.4f}"),
        {"num_classes": 10},
    ),
    "three classes, distilled": (
        lines(lambda i, s: f"step={i} loss={1.1 + 4 * math.exp(-4 * s):.4f}"),
        {"num_classes": 3},
    ),
    "a loss that begins at 0": (
        lines(lambda i, _: f"step={i} loss={NOISE.uniform(0.02, 0.03) if i else 0:.5f}"),
        ADAM,
    ),
    "two groups, one of them frozen at first": (
        lines(
            lambda i, s: (
                f"step={i} loss={fall(s):.4f} lr/backbone={0 if s < 0.7 else 1e-5} lr/head=0.001"
            )
        ),
        ADAM,
    ),
    "steps that the scaler skipped": (
        lines(
            lambda i, s: f"step={i} loss={fall(s):.4f} grad_norm={'inf' if i in {3, 40} else 1 + s}"
        ),
        {},
    ),
    "a class without items": (
        lines(lambda i, s: f"epoch={i} loss={fall(s):.4f} val_auc_rare=nan val_auc={0.5 + s / 3}"),
        {},
    ),
    "a launcher that began again": (
        lines(lambda i, s: f"step={i} loss={fall(s):.4f}", 50)
        + '\nTraceback (most recent call last):\n  File "t.py", line 9, in <module>\n'
        "    loss = 0.5 * step()\nRuntimeError: CUDA error: retried\n"
        + lines(lambda i, s: f"step={50 + i} loss={fall(1 + s):.4f}", 50),
        {},
    ),
    "a loss that has arrived": (
        lines(lambda i, s: f"step={9000 + i} loss={0.312 - 0.004 * s + NOISE.gauss(0, 0.002):.4f}"),
        ADAM,
    ),
}


@pytest.mark.parametrize("case", WELL)
def test_a_run_that_is_well_gets_no_alarm(case: str) -> None:
    found = diagnosed(*WELL[case])
    assert found.status == "pass", (found.verdict, [sign.code for sign in found.signs])


def test_a_run_that_falls_steadily_is_slow_and_not_dead() -> None:
    found = diagnosed(lines(lambda i, s: f"step={i} loss={10.8 - 0.15 * s:.4f}"), ADAM)
    assert (found.status, found.causes[0].code) == ("warn", "trains-slowly")


ILL: dict[str, tuple[str, dict[str, Any], str]] = {
    "a step a batch, logged an epoch": (
        lines(
            lambda i, s: f"epoch={i + 1} train_loss={fall(s)} lr={0.1 * 0.1 ** (i * 100 // 30)}", 90
        ),
        {**SGD, "step_size": 30},
        "scheduler-unit",
    ),
    "a step a batch, logged every 10 steps": (
        lines(lambda i, s: f"step={i * 10} loss={fall(s)} lr={0.1 * 0.1 ** (i * 10 // 30)}", 900),
        {**SGD, "step_size": 30},
        "scheduler-unit",
    ),
    "milestones a batch": (
        lines(lambda i, s: f"step={i} loss={fall(s)} lr={0.1 if i < 30 else 0.01}", 900),
        {**SGD, "milestones": "[30, 60]"},
        "scheduler-unit",
    ),
    "a factor a batch": (
        lines(lambda i, s: f"step={i} loss={fall(s)} lr={0.1 * 0.9**i}", 900),
        {**SGD, "gamma": 0.9},
        "scheduler-unit",
    ),
    "a cosine in steps, stepped an epoch": (
        lines(
            lambda i, s: (
                f"epoch={i} loss={fall(s)} lr={0.05 * (1 + math.cos(math.pi * i / 9000)):.5f}"
            ),
            90,
        ),
        {**SGD, "T_max": 9000},
        "scheduler-unit",
    ),
    "a hundred times the usual rate of SGD": (
        lines(lambda i, _: f"step={i} loss={2.3 if i < 2 else NOISE.uniform(3, 8):.4f}"),
        {"lr": 1.0, "optimizer": "SGD"},
        "learning-rate-too-high",
    ),
    "a hundred times the usual rate of AdamW": (
        lines(lambda i, _: f"step={i} loss={10.8 if i < 2 else NOISE.uniform(7.6, 7.7):.4f}"),
        {**ADAM, "lr": 1e-2},
        "learning-rate-too-high",
    ),
}


@pytest.mark.parametrize("case", ILL)
def test_a_run_that_is_ill_gets_its_cause(case: str) -> None:
    text, params, cause = ILL[case]
    found = diagnosed(text, params)
    assert found.causes[0].code == cause, found.verdict
    assert found.causes[0].strength in {"shown", "likely"}


@pytest.mark.parametrize("params", [{}, {"lr": 0.01}])
def test_the_rate_that_was_logged_counts(params: dict[str, Any]) -> None:
    found = diagnosed(lines(lambda i, _: f"step={i} lr: 10.0 loss={'nan' if i else 0.7}"), params)
    assert (found.causes[0].code, found.causes[0].strength) == ("learning-rate-too-high", "likely")
    told = {sign.code for sign in found.signs}
    assert ("rate-not-as-configured" in told) == bool(params)


def test_where_every_probe_is_clean_the_step_is_too_small() -> None:
    text = lines(lambda i, _: f"step={i} loss={2.31 - 0.006 * (i % 3)}")
    params: dict[str, Any] = {"num_classes": 10, "optimizer": "sgd", "lr": 0.003}
    measured: dict[str, dict[str, Any]] = {
        "one-batch": {"first": 2.3, "last": 0.1, "steps": 60, "accuracy": 1.0},
        "labels": {"true": 0.6, "shuffled": 0.1, "neighbours": 0.9, "chance": 0.1},
        "gradients": {"layers": [], "last": [], "count": 0, "frozen": 0},
    }
    measured["labels"] |= {"majority": 0.1, "items": 200}
    answers = {name: {"outcome": "measured", **answer} for name, answer in measured.items()}
    log = parse_log(text)
    training = Training("log", "x", log.series, params, stepped=log.stepped)
    found = diagnose(training, Settings(Path(), classes=10), answers)
    assert (found.causes[0].code, found.causes[0].strength) == ("trains-slowly", "likely")


def test_what_would_tell_more_is_named() -> None:
    text = lines(lambda i, _: f"step={i} loss={1.1 + 0.01 * (i % 2)}")
    assert "name them with `config`" in diagnosed(text, {}).verdict
    assert "name them with `config`" not in diagnosed(text, {"seed": 1}).verdict


def test_a_schedule_that_acts_where_it_should_raises_nothing() -> None:
    for params, rate in (
        ({"step_size": 30}, lambda i: 0.1 * 0.1 ** (i // 30)),
        ({"T_max": 90}, lambda i: 0.05 * (1 + math.cos(math.pi * i / 90))),
        ({"gamma": 0.95}, lambda i: 0.1 * 0.95**i),
    ):
        text = lines(lambda i, s, rate=rate: f"epoch={i} loss={fall(s)} lr={rate(i)}", 90)  # type: ignore[misc]
        found = diagnosed(text, {**SGD, **params})
        assert "schedule-unit" not in {sign.code for sign in found.signs}, found.verdict


def test_one_value_out_of_all_proportion_hides_nothing() -> None:
    text = lines(lambda i, s: f"step={i} loss={fall(s) if i != 50 else 1e30}")
    assert {sign.code for sign in diagnosed(text, {}).signs} == {"spike"}


def test_a_plateau_at_the_loss_of_the_classes_shares_is_noted() -> None:
    text = lines(lambda i, _: f"step={i} loss={0.69 if not i else NOISE.gauss(0.198, 0.002):.4f}")
    assert "flat" in {sign.code for sign in diagnosed(text, {"num_classes": 2}).signs}


TRACEBACK = """\
epoch=1 loss=2.1
[rank0]: Traceback (most recent call last):
[rank0]:   File "train.py", line 12, in <module>
[rank0]:     loss = 0.5 * model(batch)
[rank0]:            ~~~~^~~~~~~~~~~~~
[rank0]: ValueError: shape 3 is not 4: lr=7
"""


def test_the_code_of_a_traceback_holds_no_metrics() -> None:
    log = parse_log(TRACEBACK)
    assert log.series == {"loss": ((1, 2.1),)}
    assert log.error == "ValueError: shape 3 is not 4: lr=7"


@pytest.mark.parametrize(
    "text",
    [
        "epoch,step,train_loss,val_loss\n0,0,2.5,\n0,10,2.0,2.1\n1,20,1.5,1.9\n",
        "epoch  train_loss  val_loss  time\n0  2.0  2.1  00:12\n1  1.5  1.9  00:11\n",
    ],
    ids=["csv", "columns"],
)
def test_a_table_is_read(text: str) -> None:
    series = parse_log(f"loading data\n{text}done\n").series
    assert [value for _, value in series["train_loss"]][-2:] == [2.0, 1.5]
    assert [value for _, value in series["val_loss"]] == [2.1, 1.9]
    assert set(series) == {"train_loss", "val_loss"}
