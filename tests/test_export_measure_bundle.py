"""export.json: read back as it was written, and refused where it contradicts itself."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from bench import export as bench
from bench.measure import Measurement
from mlactions.bundle import open_bundle, seal, write_atomic, write_json
from mlactions.errors import UserError
from mlactions.evaluate.process import Ended
from mlactions.export.exported import (
    FAILURES,
    MODEL,
    Axis,
    Case,
    Checkpoint,
    Exported,
    Failure,
    Metadata,
    Model,
    Module,
    Noise,
    Provenance,
    SourceLine,
    TaskData,
    TensorSpec,
    Timing,
)
from mlactions.export.memory import memory_limit
from mlactions.export.outcome import classify, count
from mlactions.export.reading import from_document, open_export
from mlactions.schema import schema, validate

EXPORTED = Exported(
    status="ok",
    failure=None,
    model=Model("m:f", "Net", 5, 20, ("drop",), (Module("drop", "Dropout", 0, "m.py", 3),)),
    checkpoint=Checkpoint("a.pt", "0" * 64, "torch", "weights", 2),
    inputs=(TensorSpec("x", "int64", ("batch", 3), 0, 9),),
    outputs=(TensorSpec("y", "float32", ("batch",)),),
    axes=(Axis("batch", 1, 64),),
    opset=20,
    precision="fp32",
    optimize="none",
    quantize="none",
    files=(MODEL,),
    cases=(
        Case(
            *("batch-1-seed-0", "gated", 1, {"batch": 1}, 0, "random"),
            *("cases/a.inputs.npz", "cases/a.reference.npz"),
            noise=Noise({"y": 1e-7}, {"y": None}, note="a note"),
        ),
    ),
    timing=Timing(1.0, 2.0, {"1": (0.1, 0.2)}, 0.5),
    task=TaskData(3, "task/inputs.npz", "task/reference.npz"),
    metadata=Metadata(commit="a" * 40, dirty=True, python="3.11.7"),
    provenance=Provenance("cpu:x;gpu:none", "Linux", 2),
    notes=("said",),
)
FAILED = replace(
    EXPORTED,
    status="failed",
    failure=Failure(
        *("static-shape", "fixed at 2", "m.py", 3, "gate", (SourceLine(3, "x"),), ("last",)),
        report="logs/exporter.md",
    ),
    files=(),
    cases=(),
    task=None,
)


def sealed(folder: Path, exported: Exported, leave_out: str = "") -> Path:
    """Write a bundle whose files are there by name."""
    names = [*exported.files]
    names += [name for case in exported.cases for name in (case.inputs, case.reference)]
    names += [exported.task.inputs, exported.task.reference] if exported.task else []
    names += [exported.failure.report or ""] if exported.failure else []
    for name in names:
        if name != leave_out:
            write_atomic(folder / name, b"content")
    write_json(folder / "export.json", exported.document())
    seal(folder, "export")
    return folder


@pytest.mark.parametrize("exported", [EXPORTED, FAILED])
def test_what_is_written_is_read(exported: Exported, tmp_path: Path) -> None:
    document = json.loads(json.dumps(exported.document()))
    validate(document, "export", file="export.json")
    assert from_document(document) == exported
    assert open_export(sealed(tmp_path / "out", exported))[1] == exported


def test_the_schema_knows_the_same_failures() -> None:
    assert tuple(schema("export")["$defs"]["failure"]["properties"]["class"]["enum"]) == FAILURES


@pytest.mark.parametrize(
    ("exported", "words"),
    [
        (replace(EXPORTED, status="failed"), "contradict"),
        (replace(FAILED, status="ok"), "contradict"),
        (replace(EXPORTED, files=()), "contradict"),
        (replace(EXPORTED, files=("../model.onnx",)), "contradict"),
        (replace(EXPORTED, opset=0), "opset"),
        (replace(EXPORTED, metadata=Metadata(commit="main")), "metadata.commit"),
        (replace(EXPORTED, inputs=(TensorSpec("x y", "int64", ()),)), "inputs.0.name"),
    ],
)
def test_contradictions_are_refused(exported: Exported, words: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundles" / "out"
    with pytest.raises(UserError, match=words):
        open_export(sealed(folder, exported))


@pytest.mark.parametrize("name", [MODEL, "cases/a.inputs.npz", "task/reference.npz"])
def test_a_file_that_is_named_has_to_be_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing from the manifest"):
        open_export(sealed(tmp_path, EXPORTED, leave_out=name))


@pytest.mark.parametrize(("word", "allowed"), [("export", True), ("evaluate", False)])
def test_only_bundles_of_export_hold_large_files(word: str, allowed: bool, tmp_path: Path) -> None:
    with (tmp_path / "model.onnx").open("wb") as stream:
        stream.truncate(65 * 2**20)
    seal(tmp_path, word)
    if allowed:
        assert open_bundle(tmp_path).entries[0].bytes == 65 * 2**20
    else:
        with pytest.raises(UserError, match="size the manifest names"):
            open_bundle(tmp_path)


def ended(
    code: int,
    *,
    by: Literal["itself", "time-out", "interruption"] = "itself",
    peak: int | None = None,
    out_of_memory: bool = False,
) -> Ended:
    """Return how a process ended."""
    return Ended(code, by, 1.0, peak, out_of_memory)


@pytest.mark.parametrize(
    ("end", "tail", "kind", "words"),
    [
        (ended(-signal.SIGSEGV), (), "crashed", "ended with SIGSEGV"),
        (ended(-77), (), "crashed", "ended with signal 77"),
        (
            ended(1),
            ("Traceback", "ValueError: no"),
            "crashed",
            "exit code 1 while its stage was `export`: ValueError: no.",
        ),
        (
            ended(1),
            ("OSError: [Errno 28] No space left on device",),
            "disk-full",
            "no room",
        ),
        (
            ended(1),
            ("ValueError: no", "[export] building zoo:Scale", "[export] Error: no stage"),
            "crashed",
            "exit code 1 while its stage was `export`: ValueError: no.",
        ),
        (ended(1), ("[export] building",), "crashed", "while its stage was `export`."),
        (ended(-9, peak=2**30), (), "killed", "killed at 1 GiB"),
        (ended(137, peak=2**33 - 2**28), (), "out-of-memory", "killed at 7.75 GiB"),
        (ended(1, peak=2**31, out_of_memory=True), (), "out-of-memory", "killed at 2 GiB"),
        (ended(-15, by="time-out"), (), "timed-out", "after 1.5 min"),
        (ended(-15, by="interruption"), (), "interrupted", "was stopped"),
    ],
)
def test_every_end_has_a_class(end: Ended, tail: tuple[str, ...], kind: str, words: str) -> None:
    found, message = classify(end, tail, "export", 90.0, memory=2**33)
    assert found == kind
    assert words in message


@pytest.mark.parametrize(
    ("groups", "limits"),
    [
        ("0::/job/step", {"job/memory.max": "4096", "job/step/memory.max": "max"}),
        ("0::/", {"memory.max": "4096"}),
        ("9:cpu,memory:/job", {"memory/job/memory.limit_in_bytes": "4096"}),
    ],
)
def test_the_limit_of_memory_is_the_control_groups(
    groups: str, limits: dict[str, str], tmp_path: Path
) -> None:
    assert (memory_limit(tmp_path) or 2**50) > 2**20
    files = {"proc/self/cgroup": groups, **{f"sys/fs/cgroup/{n}": t for n, t in limits.items()}}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n", encoding="utf-8")
    assert memory_limit(tmp_path) == 4096


def test_numbers_are_for_people() -> None:
    assert [count(number) for number in (12, 81_426, 85_248_100, 7_000_000_000)] == [
        *("12", "81.4 k", "85.2 M", "7 G"),
    ]


def test_the_benchmark_takes_the_references_off() -> None:
    bare = [Measurement(seconds, seconds / 2, 2**28) for seconds in (4.0, 5.0, 40.0)]
    mine = [Measurement(seconds, seconds / 2, 2**29) for seconds in (7.0, 8.0, 9.0)]
    references = [1.0, 2.0, 1.0]
    assert bench.ratio(bare, mine, references) == 1.2
    assert bench.rows(bare, mine, references)[0] == [
        *("`torch.onnx.export`", "5.00 s", "2.50 s", "256 MiB"),
    ]
