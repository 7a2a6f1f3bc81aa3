"""Models of full size: a vision transformer of 85 M parameters, and more than 2 GB of weights."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from mlactions.errors import Exit
from mlactions.export.exported import TensorSpec
from mlactions.export.rewrite import rewrite
from tests.export_faults.running import Outcome, verify_bundle
from tests.exported import make_project, measure

os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("large") / "project")


def proven(folder: Path) -> Outcome:
    """Verify as a user does; every gated case holds at 1e-5."""
    outcome = verify_bundle(folder / "out", folder / "result")
    assert (outcome.code, outcome.result["status"]) == (Exit.PASS, "pass"), outcome.result[
        "findings"
    ]
    gated = [case for case in outcome.result["cases"] if case["kind"] == "gated"]
    assert {case["batch"] for case in gated} == {1, 2, 3}
    assert all(row["scaled"] < 1e-5 for case in gated for row in case["rows"])
    assert all(row["allowed"] == 1e-5 for case in gated for row in case["rows"])
    return outcome


@pytest.mark.timeout(900)
def test_a_vision_transformer_of_full_size(project: Path, tmp_path: Path) -> None:
    """768-d, 12 heads, 12 layers of nn.MultiheadAttention, CIFAR-100 shapes, random weights.

    Batches to 3 here; the whole matrix, to 64, is proven in bench/export_parity.py.
    """
    arguments = ["--model", "zoo:Transformer", "--example-inputs", "image: float32[batch,3,32,32]"]
    arguments += ["--axes", "batch=1..3", "--seeds", "0", "--outputs", "logits"]
    measured = measure(project, tmp_path / "out", [*arguments, "--timeout-minutes", "14"])
    _, exported = measured.open()
    assert measured.code == Exit.PASS, measured.text
    assert exported.model is not None
    assert 85_000_000 < exported.model.parameters < 86_000_000
    assert exported.outputs == (TensorSpec("logits", "float32", ("batch", 100)),)
    outcome = proven(tmp_path)
    assert (outcome.folder / "model" / "model.onnx").stat().st_size > 4 * 85_000_000
    shutil.rmtree(tmp_path)


@pytest.mark.timeout(900)
def test_more_than_two_gigabytes_lie_beside_the_model(project: Path, tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert free > 10 * 2**30, "this test writes 5 GB for a moment"
    arguments = ["--model", "zoo:Wide", "--example-inputs", "x: float32[batch,16640]"]
    arguments += ["--axes", "batch=1..3", "--seeds", "0", "--timeout-minutes", "14"]
    try:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        measured = measure(project, tmp_path / "out", arguments)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert measured.code == Exit.PASS, measured.text
        bundle, exported = measured.open()
        assert exported.files == ("model/model.onnx", "model/model.onnx.data")
        model, data = (tmp_path / "out" / name for name in exported.files)
        assert data.stat().st_size == 2 * 4 * 16640**2 > 2**31
        assert model.stat().st_size < 100_000
        assert grown * 1024 < 2**29  # the weights went through in blocks
        loaded = onnx.load(model, load_external_data=False)
        properties = {entry.key: entry.value for entry in loaded.metadata_props}
        digests = {entry.path: entry.sha256 for entry in bundle.entries}  # `open` checked them
        assert properties["mlactions.data.sha256"] == digests[exported.files[1]]
        onnx.checker.check_model(str(model))
        notes = {case.noise.note for case in exported.cases if case.noise.threads}
        assert notes == {"no float64 reference: over 1 GiB of weights"}
        outcome = proven(tmp_path)
        assert [file["path"] for file in outcome.result["files"]] == list(exported.files)
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)


def test_where_there_is_no_matrix_nothing_lies_beside_the_model(tmp_path: Path) -> None:
    scale = onnx.numpy_helper.from_array(np.full(3, 2.0, np.float32), "scale")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])
    node = onnx.helper.make_node("Mul", ["x", "scale"], ["y"])
    graph = onnx.helper.make_graph([node], "scaled", [value], [result], [scale])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "raw.onnx")
    target = tmp_path / "model" / "model.onnx"
    rewrite(tmp_path / "raw.onnx", target, {}, always_external=True)
    assert [path.name for path in target.parent.iterdir()] == ["model.onnx"]
    assert onnx.load(target).graph.initializer[0] == scale
    assert not onnx.load(target).metadata_props
