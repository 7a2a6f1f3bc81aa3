"""Serving files: what is written for each target, from the description of a model alone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import serving
from mlactions.bundle import open_bundle
from mlactions.errors import UserError
from mlactions.export.exported import Axis, Case, Exported
from mlactions.export.gates import Gate
from mlactions.export.reading import read_exported
from mlactions.export.serving import placed
from mlactions.export.serving.agree import check_file
from mlactions.export.serving.description import (
    Description,
    ModelFile,
    NotServableError,
    Tensor,
    model_name,
)
from mlactions.export.serving.golden import choose, read_golden, write_golden
from mlactions.export.serving.images import read_images
from mlactions.export.serving.model_server.contract import NUMPY, read_contract
from mlactions.export.serving.triton import config, preferred_sizes
from mlactions.export.serving.write import TARGETS
from tests.serving_support import ROOT, SERVING_PYTHON, Served, digest, write_all

DIGEST = "sha256:" + "a" * 64
IMAGES = {
    "python": f"python:3.12-slim@{DIGEST}",
    "java": f"docker.io/library/eclipse-temurin:17-jre@{DIGEST}",
    "triton": f"nvcr.io/nvidia/tritonserver:25.10-py3@{DIGEST}",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return write_all(tmp_path_factory.mktemp("served"), tuple(TARGETS))


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, served: Served) -> None:
    """Also of the archive, whose tool writes the date into it."""
    again = write_all(tmp_path / "a longer, other path", tuple(TARGETS))
    assert digest(again.out) == digest(served.out)
    assert "serving/torchserve/model-store/Embed.mar" in digest(again.out)


def test_no_file_is_hidden(served: Served) -> None:
    """GitHub's artifacts leave hidden files out unless told otherwise; the bundle would break."""
    assert not [path for path in served.out.rglob("*") if path.name.startswith(".")]


def test_nothing_names_the_machine(served: Served) -> None:
    for path in served.out.rglob("*"):
        if path.is_file():
            assert str(served.out.parent).encode() not in path.read_bytes(), path
            assert str(ROOT).encode() not in path.read_bytes(), path


@pytest.mark.parametrize("images", [{}, IMAGES], ids=["build arguments", "digests"])
def test_dockerfiles_are_clean(tmp_path: Path, images: dict[str, str]) -> None:
    out = write_all(tmp_path, tuple(TARGETS), images).out
    hadolint = Path(sys.executable).parent / "hadolint"
    for target in TARGETS:
        file = out / "serving" / target / "Dockerfile"
        command = [str(hadolint), "--failure-threshold", "style", str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout
        text = file.read_text(encoding="utf-8")
        lines = text.replace("\\\n", "").splitlines()
        froms = [line.split()[1] for line in lines if line.startswith("FROM ")]
        assert froms == (
            [images[name] for name in _images(target)]
            if images
            else [f"${{{name.upper()}_IMAGE}}" for name in _images(target)]
        )
        assert "USER 10001:10001" in lines
        assert "HEALTHCHECK" in text
        # Exec form throughout: no shell reads anything.
        for line in lines:
            if line.startswith(("RUN", "CMD", "ENTRYPOINT")):
                assert isinstance(json.loads(line.partition(" ")[2]), list), line
        assert " CMD [" in next(line for line in lines if line.startswith("HEALTHCHECK"))


def _images(target: str) -> list[str]:
    return {"torchserve": ["java", "python"], "triton": ["triton"]}.get(target, ["python"])


def test_hadolint_would_complain(tmp_path: Path) -> None:
    """The check above can fail."""
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n", encoding="utf-8")
    hadolint = Path(sys.executable).parent / "hadolint"
    command = [str(hadolint), "--failure-threshold", "style", str(tmp_path / "Dockerfile")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_the_written_program_is_clean_where_it_lies(served: Served, tmp_path: Path) -> None:
    """Formatted, linted and typed as a project of its own, with the rules of this one."""
    for target, folder in (("onnxruntime", ""), ("torchserve", "archive")):
        place = tmp_path / target
        shutil.copytree(served.out / "serving" / target / folder, place)
        (place / "model.onnx").unlink(missing_ok=True)
        binary = Path(sys.executable).parent
        settings = ["--config", str(ROOT / "pyproject.toml")]
        # TorchServe wants its handler outside of any package.
        for arguments in (["format", "--check"], ["check", "--ignore", "INP001"]):
            command = [str(binary / "ruff"), *arguments, *settings, str(place)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, ended.stdout
        command = [str(binary / "mypy"), "--strict", "--config-file", str(ROOT / "pyproject.toml")]
        command += ["--cache-dir", str(tmp_path / "cache"), "model_server"]
        command += ["handler.py"] if folder else []
        ended = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout


def test_the_contract_is_read_as_it_was_written(served: Served) -> None:
    contract = read_contract(served.out / "serving/onnxruntime/model.json")
    assert contract.name == served.model.name == "Embed"
    assert [t.name for t in contract.inputs] == ["tokens", "scale"]
    assert contract.inputs[0].shape == ("batch", "sequence")
    assert (contract.axes["sequence"].low, contract.axes["sequence"].high) == (1, 32)
    assert list(contract.files) == ["model/model.onnx"]
    archived = read_contract(served.out / "serving/torchserve/archive/model.json")
    assert list(archived.files) == ["model.onnx"]
    assert archived.files["model.onnx"] == contract.files["model/model.onnx"]


def test_data_types_have_one_table() -> None:
    from mlactions.export.serving.description import DATATYPES

    assert {protocol: numpy for numpy, protocol in DATATYPES.items()} == NUMPY


def test_requirements_are_what_was_locked_here(served: Served) -> None:
    """The server that is shipped runs on what ours was tested with; every file has its hash."""
    locked = (ROOT / "uv.lock").read_text(encoding="utf-8")
    for target in ("onnxruntime", "torchserve"):
        text = (served.out / "serving" / target / "requirements.txt").read_text(encoding="utf-8")
        named = [line.split()[0] for line in text.splitlines() if "==" in line]
        assert {"onnxruntime", "numpy"} <= {name.partition("==")[0] for name in named}
        assert text.count("--hash=sha256:") >= len(named)
        for item in named:
            name, _, version = item.partition("==")
            if f'\nname = "{name}"\n' in locked:
                assert f'\nname = "{name}"\nversion = "{version}"\n' in locked, item


# Triton


def test_triton_config_says_what_the_model_file_says(served: Served) -> None:
    """Held against the file itself, and against Triton's own message type where it is there."""
    place = served.out / "serving/triton"
    text = (place / "Embed/config.pbtxt").read_text(encoding="utf-8")
    model = onnx.load(place / "Embed/1/model.onnx", load_external_data=False)
    for field, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            kind = value.type.tensor_type
            dims = [dim.dim_value or -1 for dim in kind.shape.dim][1:]
            shown = f"dims: [ {', '.join(map(str, dims))} ]" if dims else "dims: [ 1 ]"
            types = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.INT64: "TYPE_INT64"}
            line = f'name: "{value.name}", data_type: {types[kind.elem_type]}, {shown}'
            assert line in text.partition(f"{field} [")[2].partition("\n]")[0]
    assert "max_batch_size: 16\n" in text
    assert "preferred_batch_size: [ 2, 4, 8, 16 ]" in text


_PARSE = """
import json, sys
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2
config = text_format.Parse(sys.stdin.read(), model_config_pb2.ModelConfig())
print(json.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True)))
"""


@pytest.mark.skipif(not SERVING_PYTHON.exists(), reason="`make .tools/serving/ready` installs it")
@pytest.mark.parametrize("first", ["batch", 1])
def test_triton_reads_the_config(served: Served, first: str | int) -> None:
    """Triton's own message type takes it, and finds in it what was meant."""
    outputs = (Tensor('lo"g\\its', "FP32", (first, "n", 3)), Tensor("loss", "FP64", ()))
    model = replace(served.model, outputs=outputs if first == 1 else outputs[:1])
    ended = subprocess.run(
        [str(SERVING_PYTHON), "-c", _PARSE],
        input=config(model),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["name"] == "Embed"
    assert found.get("max_batch_size", 0) == (16 if first == "batch" else 0)
    assert ("dynamic_batching" in found) == (first == "batch")
    assert found["output"][0]["name"] == 'lo"g\\its'
    assert found["output"][0]["dims"] == (["-1", "3"] if first == "batch" else ["1", "-1", "3"])
    assert found["input"][0]["dims"] == (["-1"] if first == "batch" else ["-1", "-1"])
    if first == 1:
        assert found["output"][1]["reshape"] == {}
        assert found["output"][1]["dims"] == ["1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replace(m, inputs=m.inputs[::-1]), "its inputs are ['tokens', 'scale']"),
        (lambda m: replace(m, outputs=m.outputs[:1]), "its outputs are ['logits', 'length']"),
        (
            lambda m: replace(m, outputs=(replace(m.outputs[0], datatype="FP64"), m.outputs[1])),
            "output `logits` is FP32 [?, 4], not FP64 [?, 4]",
        ),
        (
            lambda m: replace(m, inputs=(replace(m.inputs[0], shape=("batch", 7)), m.inputs[1])),
            "input `tokens` is INT64 [?, ?], not INT64 [?, 7]",
        ),
        (
            lambda m: replace(m, inputs=(m.inputs[0], replace(m.inputs[1], shape=("batch",)))),
            "input `scale` is FP32 [?, 1], not FP32 [?]",
        ),
    ],
)
def test_a_description_that_the_file_contradicts_is_refused(
    served: Served, change: Callable[[Description], Description], message: str
) -> None:
    path = served.bundle.folder / "model/model.onnx"
    check_file(served.model, path)
    with pytest.raises(UserError, match=re.escape(message)):
        check_file(change(served.model), path)


@given(st.integers(2, 10_000))
def test_preferred_batches_ascend_to_the_maximum(largest: int) -> None:
    sizes = preferred_sizes(largest)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == largest
    assert 1 <= len(sizes) <= 4


# TorchServe


def test_the_archive_holds_what_torchserve_looks_for(served: Served) -> None:
    place = served.out / "serving/torchserve"
    with zipfile.ZipFile(place / "model-store/Embed.mar") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
        for name in ("handler.py", "model.json", "model_server/torchserve.py"):
            assert archive.read(name).decode() == (place / "archive" / name).read_text("utf-8")
        model = archive.read("model.onnx")
    assert model == (served.bundle.folder / "model/model.onnx").read_bytes()
    assert "model_server/app.py" not in names
    assert manifest["model"]["serializedFile"] == "model.onnx"
    assert "createdOn" not in manifest


def test_external_data_travels_with_the_model(tmp_path: Path, served: Served) -> None:
    """In one folder with the file that names it, in every target."""
    from mlactions.export.serving.write import write_serving

    graph = (served.bundle.folder / "model/model.onnx").read_bytes()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_bytes(graph)
    (tmp_path / "model/model.onnx.data").write_bytes(b"weights")
    files = (ModelFile("model.onnx", "0" * 64), ModelFile("model.onnx.data", "1" * 64))
    model = replace(served.model, files=files)
    out = tmp_path / "out"
    targets = tuple(TARGETS)
    write_serving(out, model, tmp_path / "model", targets, images={}, golden="batch-1.json")
    for folder in ("onnxruntime/model", "triton/Embed/1"):
        found = {p.name: p.read_bytes() for p in (out / "serving" / folder).iterdir()}
        assert found == {"model.onnx": graph, "model.onnx.data": b"weights"}
    with zipfile.ZipFile(out / "serving/torchserve/model-store/Embed.mar") as archive:
        assert archive.read("model.onnx") == graph
        assert archive.read("model.onnx.data") == b"weights"


def test_torchserve_is_closed_by_default_and_said_to_be_archived(served: Served) -> None:
    place = served.out / "serving/torchserve"
    settings = dict(
        line.split("=", 1) for line in (place / "config.properties").read_text().splitlines()
    )
    assert settings["disable_token_authorization"] == "false"
    assert settings["enable_model_api"] == "false"
    assert settings["management_address"].startswith("http://127.0.0.1:")
    for name in ("README.md", "Dockerfile"):
        assert "archived in August 2025" in (place / name).read_text(encoding="utf-8")


# Golden requests


def test_golden_requests_are_the_first_case_of_each_batch(served: Served) -> None:
    name, golden = read_golden(served.out)
    assert (name, [item.batch for item in golden]) == ("Embed", [1, 3, 7])
    for item in golden:
        request = json.loads((served.out / item.request).read_bytes())
        with np.load(served.bundle.folder / f"cases/{item.id}.inputs.npz") as arrays:
            for tensor in request["inputs"]:
                sent = np.array(tensor["data"], NUMPY[tensor["datatype"]]).reshape(tensor["shape"])
                np.testing.assert_array_equal(sent, arrays[tensor["name"]])
        expected = json.loads((served.out / item.expected).read_bytes())
        assert [output["name"] for output in expected["outputs"]] == ["logits", "length"]


def _cases(exported: Exported, *cases: tuple[int, str]) -> list[Case]:
    first = exported.cases[0]
    return [
        replace(first, batch=batch, kind=kind, id=f"{n}")  # type: ignore[arg-type]
        for n, (batch, kind) in enumerate(cases)
    ]


def test_golden_requests_where_cases_are_few(served: Served) -> None:
    exported, model = served.exported, served.model
    chosen = choose(_cases(exported, (1, "edge"), (16, "gated"), (2, "gated")), model)
    assert [case.batch for case in chosen] == [2]
    large = replace(model, inputs=(Tensor("x", "FP32", ("batch", 3, 224, 224)),))
    chosen = choose(_cases(exported, (7, "gated"), (1, "gated"), (3, "gated")), large)
    assert [case.batch for case in chosen] == [1]


def test_a_reference_json_cannot_say_is_refused(tmp_path: Path) -> None:
    served = write_all(tmp_path)
    bundle, case = served.bundle, served.exported.cases[0]
    path = bundle.folder / case.reference
    np.savez(path, logits=np.full((1, 4), np.nan, np.float32), length=np.array([5]))
    gates = {"logits": Gate(1e-5, "scaled")}
    with pytest.raises(NotServableError, match="`logits` holds NaN"):
        write_golden(tmp_path / "again", bundle, served.exported, served.model, gates)


def test_an_fp16_model_is_asked_in_half_precision(tmp_path: Path) -> None:
    """The reference is in single precision all the same."""
    served = write_all(tmp_path)
    tokens, scale = served.model.inputs
    model = replace(served.model, inputs=(tokens, replace(scale, datatype="FP16")))
    gates = {"logits": Gate(5e-3, "scaled"), "length": Gate(5e-3, "scaled")}
    first = write_golden(tmp_path / "half", served.bundle, served.exported, model, gates)[0]
    request = json.loads((tmp_path / "half" / first.request).read_bytes())
    sent = request["inputs"][1]
    assert sent["datatype"] == "FP16"
    assert sent["data"] == [float(np.float16(value)) for value in sent["data"]]
    expected = json.loads((tmp_path / "half" / first.expected).read_bytes())
    assert expected["outputs"][0]["datatype"] == "FP32"


def test_an_index_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/requests.json").write_text('{"version": 1, "requests": []}', "utf-8")
    with pytest.raises(UserError, match="no golden requests"):
        read_golden(tmp_path)


# What a user gives


@pytest.mark.parametrize(
    ("lines", "targets", "expected"),
    [
        ([f"python:3.12-slim@{DIGEST}"], ["onnxruntime"], {"python": f"python:3.12-slim@{DIGEST}"}),
        ([f"a.b/c@{DIGEST}"], ["triton"], {"triton": f"a.b/c@{DIGEST}"}),
        ([f"java = x:1@{DIGEST}"], ["torchserve"], {"java": f"x:1@{DIGEST}"}),
        ([], ["triton"], {}),
    ],
)
def test_base_images_are_read(
    lines: list[str], targets: list[str], expected: dict[str, str]
) -> None:
    assert read_images(lines, targets) == expected


@pytest.mark.parametrize(
    "line",
    [
        "python:3.12-slim",
        "python",
        f"ruby=ruby:3@{DIGEST}",
        f"python:3.12-slim@{DIGEST[:-1]}",
        f"python:3.12-slim@{DIGEST}\nRUN id",
        f"python:3.12 AS x@{DIGEST}",
        f"$(id)@{DIGEST}",
    ],
)
def test_base_images_without_a_digest_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="base-image"):
        read_images([line], ["onnxruntime"])


def test_a_target_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match="`target` is 'seldon'") as refused:
        read_images([], ["onnxruntime", "seldon"])
    assert "onnxruntime, triton, torchserve" in refused.value.hint


def test_a_base_image_twice_is_refused() -> None:
    with pytest.raises(UserError, match="named twice"):
        read_images([f"a@{DIGEST}", f"python=b@{DIGEST}"], ["onnxruntime"])


@pytest.mark.parametrize("name", ["", "digits", "my-model_2.1"])
def test_names_of_models(served: Served, name: str) -> None:
    assert model_name(name, served.exported) == (name or "Embed")


@pytest.mark.parametrize("name", ["a b", "../x", "-x", "é", "a" * 65, "a/b", "$(id)"])
def test_names_a_server_cannot_have_are_refused(served: Served, name: str) -> None:
    with pytest.raises(UserError, match="`name` is"):
        model_name(name, served.exported)


def test_the_body_limit_follows_the_declared_maximum() -> None:
    def largest(*shape: int | str) -> int:
        tensor = Tensor("x", "FP32", shape)
        return Description("m", (tensor,), (), (Axis("batch", 1, 64),), ()).body_bytes

    assert largest("batch", 4) == 1 << 20
    assert largest("batch", 3, 32, 32) == 64 * 3 * 32 * 32 * 26
    assert largest("batch", 3, 224, 224) == 64 << 20


def test_the_bundle_is_not_changed(served: Served) -> None:
    """The model is linked, not moved: a bundle that was measured stays what it was."""
    bundle = open_bundle(served.bundle.folder, word="export")
    assert read_exported(bundle) == served.exported


def test_all_modules_of_the_server_are_shipped(served: Served) -> None:
    folder = Path(placed.__file__).parent / "model_server"
    written: set[Any] = set()
    for target, place in (("onnxruntime", ""), ("torchserve", "archive")):
        names = (served.out / "serving" / target / place / "model_server").iterdir()
        written |= {path.name for path in names}
    assert written == {path.name for path in folder.glob("*.py")}


def test_the_benchmark_compares_in_one_run() -> None:
    rows = [
        serving.Row("onnxruntime in a loop", 0, (9000.0, 10000.0, 10500.0)),
        serving.Row("ours", 8, (2000.0, 1800.0, 2100.0), (4.0,), (8.25,)),
        serving.Row("TorchServe", 8, (400.0,), (15.0,), (50.0,)),
    ]
    text = serving.report({1: rows})
    assert "| ours | 8 | 2,000 | 0.20× | 5.0× | 4 | 8.25 |" in text
    assert "| TorchServe | 8 | 400 | 0.04× |  | 15 | 50 |" in text
    assert text.startswith("Requests of batch 1:")
