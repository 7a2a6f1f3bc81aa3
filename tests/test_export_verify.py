"""Verify as a whole: what is handed out, crashes and deadlines, task data, bad input."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from mlactions.__main__ import run
from mlactions.bundle import open_bundle, seal, write_json
from mlactions.errors import UserError
from mlactions.evaluate.provenance import processor
from mlactions.export import verify as edge
from mlactions.export.exported import Failure, Model, Noise, Provenance, SourceLine, Timing
from mlactions.export.matrix import compare
from mlactions.export.reading import open_export
from mlactions.export.session import Workers
from mlactions.runner import Runner
from tests.export_faults import networks
from tests.export_faults.bundles import COMMIT, Written, write
from tests.export_faults.faults import _half, sound
from tests.export_faults.networks import Network, node
from tests.export_faults.running import verify, verify_bundle

ROOT = Path(__file__).parent.parent


def test_a_proven_model_is_handed_out_with_checksums(tmp_path: Path) -> None:
    outcome = verify(tmp_path, sound()["external data"])

    out = outcome.folder
    same = (tmp_path / "bundle" / "model" / "model.onnx.data").read_bytes()
    assert (out / "model" / "model.onnx.data").read_bytes() == same
    assert [file["path"] for file in outcome.result["files"]] == [
        "model/model.onnx",
        "model/model.onnx.data",
    ]
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=out, check=True
    )
    assert {"model/model.onnx", "SHA256SUMS", "report.html"} <= {
        entry.path for entry in open_bundle(out, word="export").entries
    }
    assert outcome.result["commit"] == COMMIT
    assert "status=pass" not in outcome.said
    assert not (out / edge.SCRATCH).exists()


def test_the_same_bundle_gives_the_same_numbers(tmp_path: Path) -> None:
    write(tmp_path / "bundle", sound()["tokens"])
    first, second = (
        verify_bundle(tmp_path / "bundle", tmp_path / name).result for name in ("one", "two")
    )
    for part in ("verdict", "checks", "cases", "findings", "graph", "files"):
        assert first[part] == second[part]


def _dividing(batch: int) -> Network:
    """Divide the least whole number by minus one at one batch size: the processor traps."""
    network = networks.tokens()
    nodes = (
        *network.nodes[:4],
        node("ArgMax", "sums", "found_best", axis=1, keepdims=0),
        node("Shape", "tokens", "count", start=0, end=1),
        node("Sub", "count other", "divisor"),
        node("Div", "least divisor", "quotient"),
        node("Mul", "quotient zero", "nothing"),
        node("Add", "found_best nothing", "best"),
    )
    more = {"least": np.array([-(2**63)]), "other": np.array([batch + 1]), "zero": np.array([0])}
    return replace(network, nodes=nodes, weights=network.weights | more)


def test_a_crash_of_the_runtime_is_a_named_failure_and_other_cases_count(tmp_path: Path) -> None:
    network = networks.tokens()
    outcome = verify(tmp_path, Written(network, _dividing(7).model(), seeds=(0,)))

    assert outcome.code == 1
    assert outcome.reasons()[0] == "runtime-crashed"
    first = outcome.result["findings"][0]
    assert "batch 7" in first["message"]
    assert "SIGFPE" in first["message"]
    ended = {case["batch"]: case["outcome"] for case in outcome.result["cases"]}
    assert ended == {1: "compared", 2: "compared", 3: "compared", 7: "crashed"}


def test_a_crash_while_the_model_is_opened(tmp_path: Path) -> None:
    network = networks.square()
    nodes = (
        node("Div", "least minus", "quotient"),
        node("Cast", "quotient", "number", to=onnx.TensorProto.FLOAT),
        node("Mul", "number zero", "nothing"),
        node("MatMul", "x w1", "plain"),
        node("Add", "plain nothing", "similarity"),
    )
    more: dict[str, Any] = {"least": np.array([-(2**63)]), "minus": np.array([-1])}
    more["zero"] = np.array(0, np.float32)
    broken = replace(network, nodes=nodes, weights=network.weights | more)
    outcome = verify(tmp_path, Written(network, broken.model()))

    assert outcome.reasons() == ["runtime-crashed"]
    assert [one["state"] for one in outcome.result["providers"]] == ["crashed"]
    assert outcome.result["cases"] == []


def _endless() -> onnx.ModelProto:
    """Count to 2^62 before the answer."""
    network = networks.square()
    body = helper.make_graph(
        [node("Identity", "go", "go_on"), node("Add", "sum step", "next")],
        "body",
        [
            helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", onnx.TensorProto.FLOAT, None),
        ],
    )
    nodes = (
        node("MatMul", "x w1", "plain"),
        node("Loop", "turns true plain", "similarity", body=body),
    )
    more: dict[str, Any] = {"turns": np.array(2**62), "true": np.bool_(1)}
    more["step"] = np.array(0, np.float32)
    return replace(network, nodes=nodes, weights=network.weights | more).model()


def test_a_model_without_end_meets_the_deadline(tmp_path: Path) -> None:
    write(tmp_path / "bundle", Written(networks.square(), _endless()))
    _, exported = open_export(tmp_path / "bundle")
    workers = Workers(tmp_path / "bundle", tmp_path / "scratch", dict(os.environ), timeout=2)

    started = time.monotonic()
    one = replace(exported, cases=exported.cases[:1])
    found = compare(workers, "CPUExecutionProvider", one)

    assert time.monotonic() - started < 60
    assert [ran.outcome for ran in found.ran] == ["timed-out"]
    assert "2 s" in found.ran[0].error


def test_an_interruption_ends_the_worker_and_leaves_no_model(tmp_path: Path) -> None:
    write(tmp_path / "bundle", Written(networks.square(), _endless()))
    arguments = ["export", "verify", str(tmp_path / "bundle"), "--out", str(tmp_path / "out")]
    start = "import sys; sys.path.insert(0, 'scripts'); from mlactions.__main__ import main;"
    code = f"{start} main({arguments!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(tmp_path.glob("out/.scratch/*/answers.jsonl")):
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not (tmp_path / "out" / "model").exists()
    assert not (tmp_path / "out" / "result.json").exists()
    mine = str(tmp_path).encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mine in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_an_export_that_failed_says_where(tmp_path: Path) -> None:
    failure = Failure(
        "data-dependent-control-flow",
        "the branch depends on a value",
        "src/model.py",
        12,
        "encoder.gate",
        (SourceLine(11, "def forward(self, x):"), SourceLine(12, "    if x.sum() > 0:")),
        ("GuardOnDataDependentSymNode",),
    )
    bundle = tmp_path / "bundle"
    write(bundle, Written(networks.mlp(), networks.mlp().model()))
    _, exported = open_export(bundle)
    failed = replace(exported, status="failed", failure=failure, files=(), cases=(), outputs=())
    write_json(bundle / "export.json", failed.document())
    (bundle / "model" / "model.onnx").unlink()
    seal(bundle, "export")

    outcome = verify_bundle(bundle, tmp_path / "out")

    assert (outcome.code, outcome.reasons()) == (1, ["export-failed"])
    report = (tmp_path / "out" / "report.md").read_text()
    assert "> 12      if x.sum() > 0:" in report
    assert "::error" in outcome.said
    assert "src/model.py" in outcome.said
    ids = {f["id"]: f for f in json.loads((tmp_path / "out" / "facts.json").read_text())["facts"]}
    assert ids["export.failure.class"]["value"] == "data-dependent-control-flow"
    assert ids["export.failure.source.12"]["line"] == 12


def test_edge_inputs_are_reported_and_do_not_fail(tmp_path: Path) -> None:
    network = networks.tiny()
    wrong = replace(
        network,
        nodes=(
            *network.nodes[:-1],
            node("Mul", "squared factor", "raw"),
            node("Min", "raw most", "variance"),
        ),
        weights=network.weights | {"most": np.array(1.0, np.float32)},
    )
    outcome = verify(tmp_path, Written(network, wrong.model()))

    assert (outcome.code, outcome.result["status"]) == (0, "pass")
    assert outcome.reasons("notice") == ["edge-case"]
    assert "large input" in outcome.result["findings"][0]["message"]


def test_a_tolerance_below_torch_s_own_noise_warns(tmp_path: Path) -> None:
    outcome = verify(tmp_path, sound()["square"], tolerance=("1e-7",))

    assert (outcome.code, outcome.result["status"]) == (0, "warn")
    assert outcome.reasons("warn") == ["tolerance-below-noise"]
    assert (outcome.folder / "model" / "model.onnx").exists()


def test_a_tolerance_that_allows_everything_warns(tmp_path: Path) -> None:
    outcome = verify(tmp_path, sound()["square"], tolerance=("2",))
    assert outcome.reasons("warn") == ["tolerance-large"]


def _with_bias(value: float) -> Network:
    weights = networks.mlp().weights
    bias = weights["b2"].copy()
    bias[1] = value
    return replace(networks.mlp(), weights=weights | {"b2": bias})


def test_what_torch_gives_as_nan_is_held_to_nothing(tmp_path: Path) -> None:
    """Said once for the output, with how often; the file is not blamed for it."""
    network = _with_bias(np.nan)
    outcome = verify(tmp_path, Written(network, network.model()))

    assert outcome.code == 1
    assert outcome.reasons() == ["reference-not-finite"]
    assert "So it has in 7 more cases" in outcome.result["verdict"]


def test_a_state_that_the_model_keeps_is_named(tmp_path: Path) -> None:
    network = networks.mlp()
    model = Model("zoo:network", "Network", 21, 84, state=("ticks",))
    outcome = verify(tmp_path, Written(network, network.model(), change={"model": model}))
    assert (outcome.code, outcome.reasons("warn")) == (0, ["state-kept"])
    assert "`ticks`" in outcome.result["findings"][0]["message"]


def test_infinities_at_the_same_places_pass(tmp_path: Path) -> None:
    """As where scores are masked: the largest of them is still torch's."""
    network = _with_bias(-np.inf)
    outcome = verify(tmp_path, Written(network, network.model()))
    assert (outcome.code, outcome.result["status"]) == (0, "pass"), outcome.result["findings"]


def test_what_no_server_can_answer_is_proven_all_the_same(tmp_path: Path) -> None:
    network = _with_bias(np.inf)
    outcome = verify(tmp_path, Written(network, network.model()), target=("onnxruntime",))

    assert (outcome.code, outcome.result["status"]) == (0, "warn")
    assert "not-servable" in outcome.reasons("warn")
    assert outcome.result["serving"] == []
    assert {path.name for path in outcome.folder.iterdir()} == {
        *("model", "SHA256SUMS", "result.json", "facts.json", "report.md", "report.html"),
        "manifest.json",
    }


def test_a_full_disk_leaves_nothing_of_an_earlier_or_this_run(tmp_path: Path) -> None:
    """The file size is limited for the whole process: writing ends as on a full disk."""
    before = verify(tmp_path, sound()["mlp"])
    assert (before.folder / "model" / "model.onnx").exists()
    code = (
        "import resource, sys; sys.path.insert(0, 'scripts')\n"
        "from mlactions.__main__ import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        f"main(['export', 'verify', {str(tmp_path / 'bundle')!r}, '--out', {str(before.folder)!r}])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "cannot write" in ended.stderr
    assert list(before.folder.iterdir()) == []


def test_a_run_that_fails_early_leaves_no_earlier_verdict(tmp_path: Path) -> None:
    before = verify(tmp_path, sound()["mlp"])
    (tmp_path / "bundle" / "export.json").write_text("{}")
    with pytest.raises(UserError, match="broken bundle"):
        verify_bundle(tmp_path / "bundle", before.folder)
    assert list(before.folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write(tmp_path / "bundle", sound()["mlp"])
    with pytest.raises(UserError, match="cannot be made"):
        verify_bundle(tmp_path / "bundle", tmp_path / "file" / "out")


def test_what_a_user_may_edit_is_no_link(tmp_path: Path) -> None:
    outcome = verify(tmp_path, sound()["external data"], target=("onnxruntime",))
    made = [path for path in outcome.folder.rglob("*") if path.is_file()]
    assert len(made) > 10
    assert {path.stat().st_nlink for path in made} == {1}


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        ({"samples": 1}, "fail", "on these samples nothing can be lost"),
        ({"label": 7}, "fail", "label 7 is none of the classes 0 to 2"),
        ({"label": -1}, "fail", "label -1 is none of the classes"),
        ({"samples": 100}, "warn", "About 539 samples would prove it"),
        ({"samples": 100}, "warn", "accuracy is 0.9000 on both sides, allowed is 0.0050"),
        ({"samples": 100}, "warn", "bounds of the change -0.0263"),
    ],
)
def test_task_data_that_prove_little_are_no_proof(
    given: dict[str, Any], status: str, says: str, tmp_path: Path
) -> None:
    network = networks.mlp()
    written = Written(network, _half(network).model(), precision="fp16", task=True, **given)
    outcome = verify(tmp_path, written)
    assert outcome.result["status"] == status
    assert says in outcome.result["task"]["message"]
    assert [found["reason"] for found in outcome.result["findings"]] == ["task-metric"]


def test_torch_no_better_than_chance_can_lose_nothing(tmp_path: Path) -> None:
    """A sample in three has the label 0: its share is what guessing gives."""
    network = networks.mlp()
    nothing = {"w2": network.weights["w2"] * 0, "b2": np.array([0, 0, 1], np.float32)}
    constant = replace(network, weights=network.weights | nothing)
    written = Written(constant, _half(constant).model(), precision="fp16", task=True, label=0)
    outcome = verify(tmp_path, written)
    assert outcome.reasons() == ["task-metric"]
    assert "guessing one of 3 classes gives 0.3333" in outcome.result["task"]["message"]


def test_labels_of_one_class_are_a_warning(tmp_path: Path) -> None:
    """Torch is right about most of them, and so is what gives that class for everything."""
    network = networks.mlp()
    first = {"b2": np.array([2, 0, 0], np.float32)}
    biased = replace(network, weights=network.weights | first)
    written = Written(biased, _half(biased).model(), precision="fp16", task=True, label=0)
    outcome = verify(tmp_path, written)
    assert (outcome.code, outcome.reasons("warn")) == (0, ["task-metric"])
    assert "All labels are one class" in outcome.result["verdict"] + str(outcome.result["task"])


def test_task_data_are_weighed_item_by_item(tmp_path: Path) -> None:
    network = networks.mlp()
    outcome = verify(
        tmp_path, Written(network, _half(network).model(), precision="fp16", task=True)
    )

    task = outcome.result["task"]
    assert (task["metric"], task["samples"], task["baseline"]) == ("accuracy", 600, 0.9)
    assert task["status"] == "pass"
    assert abs(task["change"]) <= 0.005


def test_two_machines_are_not_compared_in_time(tmp_path: Path) -> None:
    """And on one machine it is the fastest pass that counts, not those that had to wait."""
    eager = Timing(1.0, 2.0, {"1": (21.6, 0.5, 21.5), "7": (0.5,)})
    network = networks.mlp()
    there = Provenance("cpu:another;gpu:none", "Linux", 2)
    here = replace(there, hardware=f"cpu:{processor()};gpu:none")
    results = [
        verify(
            tmp_path / name,
            Written(network, network.model(), change={"timing": eager, "provenance": place}),
        ).result
        for name, place in (("here", here), ("there", there))
    ]
    assert [row["batch"] for row in results[0]["latency"]] == [1, 7]
    assert all(row["ratio"] > 1 for row in results[0]["latency"])
    assert results[0]["latency"][0]["eager_ms"] == 500
    assert results[1]["latency"] == []
    assert "another" in results[1]["latency_note"]


def test_a_provider_that_was_asked_for_and_is_absent_fails(tmp_path: Path) -> None:
    outcome = verify(tmp_path, sound()["mlp"], providers=("CUDAExecutionProvider",))

    assert outcome.code == 1
    assert outcome.reasons()[0] in {"provider-absent", "runtime-refused"}
    assert "CUDAExecutionProvider" in outcome.result["verdict"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tolerance": ("logit=1",)}, "no output 'logit'"),
        ({"tolerance": ("nan",)}, "finite"),
        ({"tolerance": ("logit=1",), "outputs": ("logits",)}, "no output 'logit'"),
        ({"timeout_minutes": "0"}, "timeout-minutes"),
        ({"target": ("onnx",)}, "`target`"),
        ({"task_tolerance": "-1"}, "task-tolerance"),
        ({"key": "No Key"}, "key"),
        ({"base_image": ("python=python:3.12",), "target": ("onnxruntime",)}, "digest"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        verify(tmp_path, sound()["mlp"], **given)
    assert not (tmp_path / "out" / "model").exists()


def test_what_is_no_bundle_of_ours_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "bundle", sound()["mlp"])
    model = tmp_path / "bundle" / "model" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="changed after it was measured"):
        verify_bundle(tmp_path / "bundle", tmp_path / "out")
    with pytest.raises(UserError, match="no bundle"):
        verify_bundle(tmp_path / "out", tmp_path / "other")


def test_an_out_folder_with_a_user_s_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="not ours"):
        verify(tmp_path, sound()["mlp"])
    with pytest.raises(UserError, match="holds the bundle"):
        verify_bundle(tmp_path / "bundle", tmp_path)
    with pytest.raises(UserError, match="lies in it"):
        verify_bundle(tmp_path / "bundle", tmp_path / "bundle" / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


def test_the_command_line_reaches_it(tmp_path: Path) -> None:
    write(tmp_path / "bundle", sound()["square"])
    stream = io.StringIO()
    arguments = ["export", "verify", str(tmp_path / "bundle"), "--out", str(tmp_path / "out")]
    arguments += ["--tolerance", "similarity=1e-6", "--tolerance-mode", "absolute"]
    assert run(arguments, Runner({"PATH": os.environ["PATH"]}, stream)) == 0
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["mode"], result["tolerances"]) == ("absolute", {"similarity": 1e-6})
    assert "PASS" in stream.getvalue()


def test_noise_without_a_number_is_no_noise(tmp_path: Path) -> None:
    network = networks.mlp()
    write(tmp_path / "bundle", Written(network, network.model()))
    _, exported = open_export(tmp_path / "bundle")
    silent = tuple(
        replace(case, noise=Noise({"logits": None, "features": None}, None, note="float64 failed"))
        for case in exported.cases
    )
    write_json(tmp_path / "bundle" / "export.json", replace(exported, cases=silent).document())
    seal(tmp_path / "bundle", "export")
    assert verify_bundle(tmp_path / "bundle", tmp_path / "out").code == 0
