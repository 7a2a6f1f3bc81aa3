"""Telemetry, heartbeat and history: the figures are right, and memory stays the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.evaluate.proctree import Entry
from mlactions.train.amounts import duration, size
from mlactions.train.heartbeat import KEPT, Heartbeat, History, read_progress
from mlactions.train.machine import Gpu
from mlactions.train.model import GpuSample, Progress, Sample, Spread
from mlactions.train.telemetry import BARS, Line, Recorder, Usage


def entry(pid: int, used: int) -> Entry:
    return Entry(pid, 1, 1, 0, 1000, zombie=False, used=used)


def test_usage_is_the_share_since_the_last_look() -> None:
    usage = Usage()
    assert usage.percent([entry(1, 500)], 10.0) == 0.0
    assert usage.percent([entry(1, 600), entry(2, 100)], 12.0) == pytest.approx(100.0)
    assert usage.percent([entry(2, 100)], 13.0) == 0.0  # one ended, one was idle


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=2000))
def test_a_line_keeps_the_mean_whatever_its_length(values: list[float | None]) -> None:
    line = Line()
    for value in values:
        line.add(value)
    shown = line.values()
    assert 1 <= len(shown) <= BARS
    known = [value for value in values if value is not None]
    told = [value for value in shown if value is not None]
    assert bool(known) == bool(told)
    if known:
        slack = 0.02 + 1e-6 * max(map(abs, known))
        assert min(known) - slack <= min(told) <= max(told) <= max(known) + slack


def test_a_line_of_a_ramp_is_a_ramp() -> None:
    line = Line()
    for value in range(100_000):
        line.add(value)
    shown = [value for value in line.values() if value is not None]
    assert shown == sorted(shown)
    assert shown[0] < 5000
    assert shown[-1] > 95_000


def test_the_recorder_writes_each_sample_and_keeps_its_figures(tmp_path: Path) -> None:
    gpu = Gpu(3, "H100", "GPU-1", 80, 0)
    clock = iter([0.0, 0.25, 1.0, 1.5])
    samples = iter(
        [
            Sample(1.0, 10.0, 100, (GpuSample(50.0, 5, None),)),
            Sample(2.0, 30.0, 300, (GpuSample(100.0, 7, None),)),
        ]
    )
    with Recorder(tmp_path / "t.csv", [gpu], spent=lambda: next(clock)) as recorder:
        recorder.take(lambda: next(samples))
        recorder.take(lambda: next(samples))
        found = recorder.telemetry()
    assert found.cost == 0.75
    assert found.processor == Spread(20.0, 30.0)
    assert found.memory == Spread(200.0, 300)
    assert (found.gpus[0].utilization, found.gpus[0].power) == (Spread(75.0, 100.0), None)
    assert found.lines == (("GPU 3", (50.0, 100.0)),)
    assert (tmp_path / "t.csv").read_text().splitlines() == [
        (
            "seconds,processor_percent,memory_bytes,"
            "gpu3_utilization_percent,gpu3_memory_bytes,gpu3_power_watts"
        ),
        "1.00,10.0,100,50,5,",
        "2.00,30.0,300,100,7,",
    ]


@given(st.integers(1, 3000))
def test_a_history_never_outgrows_its_room_and_keeps_both_ends(count: int) -> None:
    history = History()
    for step in range(count):
        history.add(Progress(step, step, 1.0))
    kept = [point.step or 0 for point in history.all()]
    assert len(kept) <= KEPT
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))


def test_a_heartbeat_is_a_change_of_what_counts() -> None:
    heart = Heartbeat(frozenset({"checkpoint"}), last=0.0)
    heart.look(1.0, {"log": 5, "checkpoint": None})
    heart.look(2.0, {"log": 9, "checkpoint": None})
    assert heart.silent(2.0) == 2.0
    heart.look(3.0, {"log": 9, "checkpoint": (1, 2, 3)})
    assert heart.silent(3.5) == 0.5


@pytest.mark.parametrize(
    ("text", "step", "loss"),
    [
        ('{"step": 3, "loss": 0.5, "eta": 9}', 3, 0.5),
        ('{"step": 3}', 3, None),
        ('{"loss": "0.25"}', None, 0.25),
        ('{"step": true, "loss": false}', None, None),
        ('{"step": 10000000000000000000000}', None, None),
        ('{"loss": 1e999}', None, float("inf")),
    ],
)
def test_progress_is_read_as_far_as_it_makes_sense(
    tmp_path: Path, text: str, step: int | None, loss: float | None
) -> None:
    path = tmp_path / "progress.json"
    path.write_text(text)
    found = read_progress(path, 1.0)
    assert found is not None
    assert (found.step, found.loss) == (step, loss)


@given(st.binary(max_size=200))
def test_no_progress_file_can_do_harm(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(raw)
    found = read_progress(path, 1.0)
    if found is not None:
        assert isinstance(json.loads(raw), dict)


def test_a_progress_that_waits_for_ever_is_no_estimate(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    for eta in ("NaN", "-1", "Infinity", '"soon"'):
        path.write_text(f'{{"step": 1, "eta": {eta}}}')
        found = read_progress(path, 1.0)
        assert found is not None
        assert replace(found, seconds=0.0) == Progress(0.0, 1, None)


def test_amounts_are_said_as_people_say_them() -> None:
    assert [size(n) for n in (0, 1023, 1536, 2**30, 5 * 2**40, 1023 * 2**20)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "1.0 GiB",
        "5.0 TiB",
        "1,023 MiB",
    ]
    assert [duration(s) for s in (0.04, 59.94, 61, 3599.9, 7380)] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "1 h",
        "2 h 3 min",
    ]
