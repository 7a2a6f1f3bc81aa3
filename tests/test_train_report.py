"""What the report of a training says, from its JSON alone, and what an agent may cite of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions import html, markdown
from mlactions.publish import check_result
from mlactions.report import Report
from mlactions.schema import validate
from mlactions.terminal import render as in_terminal
from mlactions.train.facts import facts
from mlactions.train.machine import Driver, Gpu, Torch
from mlactions.train.model import (
    Checkpoint,
    Checkpoints,
    Ended,
    Failure,
    GpuTelemetry,
    Plan,
    Progress,
    Refused,
    Result,
    Settings,
    Spread,
    Telemetry,
)
from mlactions.train.preflight import checks
from mlactions.train.render import render
from mlactions.train.result import document
from tests.test_train_preflight import CPU, WITH_GPU

GIB = 1024**3
SETTINGS = Settings(
    ("python", "train.py", "a b"), Path("/r"), Path("/r/checkpoints"), price=2.5, attempt=2
)
SAVED = Checkpoint("step-20", 20, {"name": "val_loss", "value": 0.25}, "sha256", "h", "r1")
H100 = Gpu(0, "H100", "GPU-aaaa", 80 * GIB, GIB, ecc_uncorrected=0)
TELEMETRY = Telemetry(
    samples=3600,
    cost=1.8,
    processor=Spread(99.0, 120.0),
    memory=Spread(GIB, 2 * GIB),
    gpus=(
        GpuTelemetry(
            0, "H100", Spread(93.0, 100.0), Spread(60 * GIB, 61 * GIB), Spread(612.0, 700.0)
        ),
        GpuTelemetry(1, "T4", None, None, None),
    ),
    seconds=(900.0, 1800.0, 2700.0, 3600.0),
    lines=(("GPU 0", (90.0, 95.0, 94.0, 93.0)), ("GPU 1", (None, 1.0, 2.0, 3.0))),
)
ENDED = Ended(
    0,
    "itself",
    3600.0,
    2 * GIB,
    out_of_memory=False,
    started="2026-11-23 10:00:00 UTC",
    telemetry=TELEMETRY,
    progress=(Progress(10.0, 10, 1.5), Progress(20.0, 20, 0.25, 60.0)),
)
PLAN = Plan(
    SETTINGS.arguments, {}, "", replace(SAVED, step=10), (Refused("step-11", 11, "it is missing"),)
)
GOOD = Result(
    SETTINGS,
    replace(WITH_GPU, visible=(H100,), driver=Driver((H100,), "550.54.15", "12.4")),
    checks(SETTINGS, WITH_GPU, Checkpoints()),
    PLAN,
    ENDED,
    after=Checkpoints(SAVED, SAVED),
    log_tail=("step 20", "done ```"),
    commit="a" * 40,
)
BAD = replace(
    GOOD,
    ended=replace(ENDED, code=-6, by="stalled"),
    failure=Failure("stalled", "it hangs in <b>all_reduce</b>", None, "src/loop.py", 12),
    stacks=(
        "Current thread 0x1 (most recent call first):",
        '  File "/r/src/loop.py", line 12 in x',
    ),
)
STOPPED = replace(
    GOOD,
    ended=replace(ENDED, by="soft-limit"),
    failure=Failure("time-limit", "the soft limit was reached after 1 h"),
    requeue=True,
)
NOT_READY = Result(
    replace(SETTINGS, require_gpus=2),
    CPU,
    checks(replace(SETTINGS, require_gpus=2), CPU, Checkpoints()),
)
RESULTS = {"finished": GOOD, "failed": BAD, "stopped": STOPPED, "not-ready": NOT_READY}


def shown(result: Result) -> tuple[Any, Report, str]:
    """Return a result's JSON, and its report made of that JSON alone."""
    made = json.loads(json.dumps(document(result)))
    report = render(made)
    return made, report, markdown.render(report)


@pytest.mark.parametrize("state", RESULTS)
def test_every_end_has_a_result_a_report_and_facts(state: str) -> None:
    made, report, text = shown(RESULTS[state])
    check_result(made, file="result.json")
    assert made["state"] == state
    assert html.render(report, title=report.title)
    assert in_terminal(report, width=80, color=False)
    told = facts(made)
    assert len({fact.id for fact in told}) == len(told)
    document_of_facts = {
        "version": 1,
        "facts": [{**vars(fact), "data": dict(fact.data)} for fact in told],
    }
    validate(json.loads(json.dumps(document_of_facts)), "facts", file="facts.json")
    assert "``````" not in text
    assert shown(RESULTS[state])[2] == text


def test_a_finished_run_says_what_it_reached_and_what_it_cost() -> None:
    made, _, text = shown(GOOD)
    assert made["verdict"] == "The training finished in 1 h, best val_loss 0.25."
    assert made["status"] == "pass"
    for told in (
        "1.000 (1 GPU)",
        "2.50 (at 2.5 per GPU hour)",
        "0.612 kWh",
        "step 20, val_loss 0.25",
    ):
        assert told in text, told
    assert "H100" in text
    assert "93 %" in text
    assert "0.05 %" in text  # what telemetry cost


def test_a_stall_shows_where_it_hangs_and_what_to_do() -> None:
    made, _, text = shown(BAD)
    assert made["status"] == "fail"
    assert "it hangs in <b>all_reduce</b>, src/loop.py:12" in made["verdict"]
    assert "<b>" not in text.replace("\\<b>", "")
    assert "Where it hung" in text
    assert "num\\_workers=0" in text or "num_workers=0" in text


def test_a_checkpoint_of_another_configuration_is_not_resumed() -> None:
    refused = Failure("config-changed", "step-20 was made with another configuration: lr was 1", 9)
    made, _, text = shown(replace(GOOD, ended=replace(ENDED, code=1), failure=refused))
    assert made["verdict"] == f"The training was not resumed ({refused.evidence})."
    assert (made["checkpoint"]["resumed"], "Resumed" in text) == (None, False)
    assert "`--no-resume`" in text


def test_a_stopped_run_warns_and_says_who_continues() -> None:
    made, _, text = shown(STOPPED)
    assert made["status"] == "warn"
    assert made["verdict"].endswith("attempt 3 of 5 can continue from step 20.")
    assert "save more often" not in text


def test_a_machine_that_is_not_ready_says_why_first() -> None:
    made, _, text = shown(NOT_READY)
    assert made["status"] == "fail"
    assert made["verdict"].startswith("Nothing was started: the preflight failed (gpu: no GPU")
    table = text[text.index("| Check") :].splitlines()
    assert "gpu" in table[2]
    assert "runs-on" in table[2]


def test_a_torch_that_is_broken_is_no_torch() -> None:
    broken = replace(CPU, torch=Torch("", "", available=False, devices=0, problem="x"))
    assert document(replace(GOOD, surroundings=broken))["machine"]["torch"] is None


def test_a_stopped_run_that_left_nothing_says_how_to_leave_something() -> None:
    limit = Failure("time-limit", "the soft limit was reached after 30 s")
    ended = replace(ENDED, by="soft-limit")
    made, _, text = shown(
        replace(GOOD, ended=ended, failure=limit, after=Checkpoints(), requeue=False)
    )
    assert "another attempt would end the same" in made["verdict"]
    assert "`mlactions_train.py`" in text
    assert "continues from the last checkpoint" not in text
