"""Real exports: what is in the bundle, the same bytes everywhere, and what is said of failures."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from click.testing import CliRunner

from mlactions.bundle import MANIFEST
from mlactions.errors import Exit
from mlactions.export.command import command
from mlactions.export.exported import Axis, TensorSpec
from tests.exported import (
    ROWS,
    TORCH_PYTHON,
    Measured,
    Zoo,
    git,
    in_torch,
    make_project,
    measure,
)

SCALE = ("--model", "zoo:Scale", "--example-inputs", ROWS, "--batch-sizes", "1,2", "--seeds", "0")


def model_of(measured: Measured) -> onnx.ModelProto:
    """Load the exported model, its weights included."""
    return onnx.load(measured.out / "model" / "model.onnx")


def test_a_bundle_holds_the_model_and_what_to_hold_it_against(zoo: Zoo) -> None:
    measured = zoo.measured("cnn")
    bundle, exported = measured.open()

    assert measured.code == Exit.PASS
    assert exported.inputs == (TensorSpec("pixels", "float32", ("batch", 1, 8, 8)),)
    assert exported.outputs == (TensorSpec("logits", "float32", ("batch", 10)),)
    assert exported.axes == (Axis("batch", 1, 64),)
    assert exported.files == ("model/model.onnx",)
    assert exported.model is not None
    assert exported.model.training_modules == (
        *("features.0.1", "features.1.1", "features.3.1", "head.3"),
    )
    assert exported.model.parameters == 81_426
    tree = {module.name: module for module in exported.model.tree}
    assert (tree["features.0"].file, tree["features.0"].line) == ("src/models/cnn.py", 6)
    assert tree["head.1"].file is None
    assert exported.checkpoint is not None
    digest = hashlib.sha256((zoo.project / "cnn.pt").read_bytes()).hexdigest()
    assert (exported.checkpoint.sha256, exported.checkpoint.key) == (digest, "weights")
    for case in exported.cases:
        inputs, reference = np.load(bundle.path(case.inputs)), np.load(bundle.path(case.reference))
        assert inputs["pixels"].shape == (case.batch, 1, 8, 8)
        assert reference["logits"].shape == (case.batch, 10)
    assert {case.batch for case in exported.cases} == {1, 2, 3, 7, 16, 64}
    assert [len(exported.timing.eager[batch]) >= 3 for batch in ("1", "16")] == [True, True]


def test_noise_is_that_of_single_precision(zoo: Zoo) -> None:
    found = [case.noise for case in zoo.measured("cnn").exported.cases if case.noise.float64]
    assert len(found) == 5
    for noise in found:
        assert noise.float64
        assert 0 < (noise.float64["logits"] or 0) < 1e-5
        assert noise.threads is not None
        assert noise.threads["logits"] is not None
        assert noise.note == ""


def test_the_reference_is_the_models_own_answer(zoo: Zoo) -> None:
    """What PyTorch says, asked by another program than ours; and most of it is right."""
    bundle, exported = zoo.measured("cnn").open()
    assert exported.task is not None
    script = """
import sys, numpy as np, torch
from src.models.cnn import DigitsCNN
model = DigitsCNN(width=24, hidden=64, dropout=0.1)
model.load_state_dict(torch.load("cnn.pt")["weights"])
with torch.no_grad():
    np.save(sys.argv[2], model.eval()(torch.from_numpy(np.load(sys.argv[1])["pixels"])).numpy())
"""
    inputs, reference = bundle.path(exported.task.inputs), bundle.path(exported.task.reference)
    in_torch(script, zoo.project, str(inputs), str(zoo.folder / "own.npy"))
    found, own = np.load(reference)["logits"], np.load(zoo.folder / "own.npy")
    np.testing.assert_allclose(found, own, atol=2e-5, rtol=0)
    right = (found.argmax(1) == np.load(inputs)["label"]).mean()
    assert exported.task.samples == len(found)
    assert right > 0.8


def test_the_file_says_where_it_comes_from_and_not_on_which_machine(zoo: Zoo) -> None:
    measured = zoo.measured("cnn")
    model, exported = model_of(measured), measured.exported
    properties = {entry.key: entry.value for entry in model.metadata_props}

    assert properties["mlactions.commit"] == exported.metadata.commit != ""
    assert properties["mlactions.torch"].startswith("2.")
    assert properties["mlactions.dirty"] == "false"
    assert properties["mlactions.factory"] == "src.models.cnn:DigitsCNN"
    assert exported.checkpoint is not None
    assert properties["mlactions.checkpoint"] == f"sha256:{exported.checkpoint.sha256}"
    assert all(not node.metadata_props and not node.doc_string for node in model.graph.node)
    for path in measured.out.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert str(zoo.folder).encode() not in content, path.name
            assert path.suffix == ".log" or b"site-packages" not in content, path.name
    onnx.checker.check_model(model, full_check=True)


def test_equal_checkouts_give_equal_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("one", "another/deeper"):
        project = make_project(tmp_path / name / "project")
        given = [*SCALE, "--external-data", "always"]
        measured = measure(project, tmp_path / name / "out", given)
        manifest = json.loads((measured.out / MANIFEST).read_text())
        found.append(
            [
                (entry["path"], entry["sha256"])
                for entry in manifest["files"]
                if entry["path"].startswith(("model/", "cases/"))
            ]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 2 + 2 * 6
    data = tmp_path / "one" / "out" / "model" / "model.onnx.data"
    assert data.stat().st_size == 12 * 4


def test_several_inputs_and_outputs_keep_their_names_and_order(zoo: Zoo) -> None:
    exported = zoo.measured("pair").exported
    assert [(tensor.name, tensor.shape) for tensor in exported.inputs] == [
        ("image", ("batch", 3, 4)),
        ("tokens", ("batch", "words")),
    ]
    assert [tensor.name for tensor in exported.outputs] == ["logits", "hidden"]
    lengths = {case.axes["words"] for case in exported.cases if case.kind == "gated"}
    assert {1, 2, 10, 19, 20} <= lengths
    bundle = zoo.measured("pair").open()[0]
    for case in exported.cases:
        tokens = np.load(bundle.path(case.inputs))["tokens"]
        assert tokens.shape == (case.batch, case.axes["words"])
        assert tokens.min() >= 0
        assert tokens.max() <= 49
    edges = {case.values: np.load(bundle.path(case.inputs)) for case in exported.cases[-3:]}
    assert edges["large"]["image"].min() == 1e4
    assert edges["large"]["tokens"].min() == 49
    assert 0 < edges["denormal"]["image"].max() < np.finfo(np.float32).tiny


def test_an_lstm_stays_dynamic_in_both_axes(zoo: Zoo) -> None:
    measured = zoo.measured("lstm")
    graph = model_of(measured).graph
    assert [dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim] == [
        "batch",
        "sequence",
    ]
    assert measured.exported.outputs == (TensorSpec("logits", "float32", ("batch", 4)),)


def test_half_precision_takes_half_precision_and_is_held_against_the_whole(zoo: Zoo) -> None:
    bundle, exported = zoo.measured("cnn-fp16").open()
    assert exported.inputs[0].dtype == exported.outputs[0].dtype == "float16"
    case = exported.cases[0]
    assert np.load(bundle.path(case.inputs))["pixels"].dtype == np.float16
    assert np.load(bundle.path(case.reference))["logits"].dtype == np.float32
    sizes = [(zoo.bundle(name) / "model/model.onnx").stat().st_size for name in ("cnn", "cnn-fp16")]
    assert sizes[1] < 0.6 * sizes[0]
    assert exported.task is not None


def test_eight_bits_make_a_smaller_file(zoo: Zoo) -> None:
    measured = zoo.measured("cnn-int8")
    model = model_of(measured)
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.INT8 in types
    assert measured.exported.inputs[0].dtype == "float32"
    sizes = [(zoo.bundle(name) / "model/model.onnx").stat().st_size for name in ("cnn", "cnn-int8")]
    assert sizes[1] < 0.6 * sizes[0]
    assert {entry.key for entry in model.metadata_props} >= {"mlactions.commit"}


def test_weights_beside_the_model_and_a_graph_that_onnxruntime_rewrote(
    zoo: Zoo, tmp_path: Path
) -> None:
    wide = ("--model", "zoo:Transformer", "--example-inputs", "image: float32[batch,3,32,32]")
    small = ("--model-arguments", '{"dim": 32, "heads": 2, "depth": 1}', "--seeds", "0")
    given = [*wide, *small, "--external-data", "always", "--optimize", "extended"]
    measured = measure(zoo.project, tmp_path / "wide", given)
    assert measured.exported.optimize == "extended"
    assert measured.exported.files == ("model/model.onnx", "model/model.onnx.data")
    data = (measured.out / "model" / "model.onnx.data").read_bytes()
    model = onnx.load(measured.out / "model" / "model.onnx", load_external_data=False)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["mlactions.data.sha256"] == hashlib.sha256(data).hexdigest()
    placed = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in model.graph.initializer
        if tensor.external_data
    ]
    assert all(int(entry["offset"]) % 4096 == 0 for entry in placed)
    assert {entry["location"] for entry in placed} == {"model.onnx.data"}
    onnx.checker.check_model(str(measured.out / "model" / "model.onnx"), full_check=True)


def test_a_failed_export_is_sealed_without_a_model(zoo: Zoo) -> None:
    measured = zoo.measured("decision")
    failure = measured.exported.failure
    assert measured.code == Exit.FAILED_CHECK
    assert failure is not None
    assert (failure.kind, failure.file, failure.module) == (
        *("data-dependent-control-flow", "zoo.py", "gate"),
    )
    shown = {source.line: source.text.strip() for source in failure.source}
    assert shown[failure.line or 0] == "if x.sum() > 0:"
    assert failure.report == "logs/exporter.md"
    report = (measured.out / failure.report).read_text()
    assert "GuardOnDataDependentSymNode" in report
    assert str(zoo.folder) not in report
    assert sorted(path.name for path in measured.out.iterdir()) == [
        *("export.json", "logs", "manifest.json"),
    ]
    assert f"zoo.py:{failure.line}" in measured.text
    assert measured.outputs["status"] == "fail"
    assert measured.exported.model is not None
    assert [module.name for module in measured.exported.model.tree] == ["", "encoder", "gate"]


def test_the_best_checkpoint_and_the_config_go_into_the_file(zoo: Zoo, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(zoo.project, project)
    in_torch(
        "import torch, zoo\n"
        "for a in (0.5, 0.75): torch.save(zoo.Scale().state_dict(), f'acc={a}.pt')",
        project,
    )
    (project / "config.yaml").write_text("width: 4\n")
    git(project, "add", "config.yaml")
    arguments = [*SCALE, "--checkpoint", "best:acc", "--checkpoint-dir", ".", "--config"]
    measured = measure(project, tmp_path / "out", [*arguments, "config.yaml"])
    exported = measured.exported
    assert exported.checkpoint is not None
    assert exported.checkpoint.source == "acc=0.75.pt"
    assert exported.notes == ("`acc=0.75.pt` has the largest `acc` of 2: 0.75.",)
    assert exported.metadata.config.startswith("sha256:")
    assert exported.metadata.dirty
    missing = measure(project, tmp_path / "other", [*arguments, "gone.yaml"])
    assert missing.code == Exit.BAD_INPUT
    assert "export: building" not in missing.text  # it is said before the work is done
    assert "`config` has 'gone.yaml': there is no such file" in missing.text


def test_a_python_without_torch_is_said(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    bare = tmp_path / "bare"
    in_torch(f"import venv; venv.create({str(bare)!r}, with_pip=False)", tmp_path)
    arguments = [*SCALE, "--python", str(bare / "bin" / "python")]
    measured = measure(project, tmp_path / "out", arguments)
    assert measured.code == Exit.BAD_INPUT
    assert "`torch` is not installed for python" in measured.text
    measured = measure(project, tmp_path / "out", [*SCALE, "--python", "no-such-python"])
    assert measured.code == Exit.BAD_INPUT
    assert "`python` is 'no-such-python', which is no program on PATH" in measured.text
    assert not (tmp_path / "out").exists()


def test_what_a_user_keeps_in_the_folder_stays(zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "model").mkdir(parents=True)
    (out / "model" / "model.onnx").write_text("mine")
    measured = measure(zoo.project, out, SCALE)
    assert measured.code == Exit.BAD_INPUT
    assert "`out` holds" in measured.text
    assert (out / "model" / "model.onnx").read_text() == "mine"
    assert TORCH_PYTHON.exists()


def test_the_help_names_every_part() -> None:
    found = CliRunner().invoke(command, ["--help"])
    assert found.exit_code == 0
    for word in ("measure", "verify", "smoke", "retry", "--example-inputs"):
        assert word in found.output
    for word in ("measure", "verify", "smoke", "retry"):
        assert CliRunner().invoke(command, [word, "--help"]).exit_code == 0
