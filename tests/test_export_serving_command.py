"""`export smoke` as a user calls it: verify's folder in, its result with the servers out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.runner import Runner
from tests.exported import Zoo
from tests.serving_support import ROOT, write_bundle

FAST = ["--concurrency", "1,4", "--requests", "20", "--ready-seconds", "60"]


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a model that verify found equal, with all serving files."""
    folder = tmp_path_factory.mktemp("verified")
    write_bundle(folder / "bundle")
    targets = ["--target", "onnxruntime", "--target", "triton", "--target", "torchserve"]
    arguments = ["export", "verify", str(folder / "bundle"), "--out", str(folder / "result")]
    code, text = call([*arguments, *targets, "--name", "embed"])
    assert code == 0, text
    return folder / "result"


def call(arguments: list[str], **variables: str) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and what it printed."""
    stream = StringIO()
    environ = {**variables, "PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return run(arguments, Runner(environ=environ, stream=stream)), stream.getvalue()


def smoke(verified: Path, out: Path, *options: str) -> tuple[int, str]:
    return call(["export", "smoke", str(verified), "--out", str(out), *FAST, *options])


def test_a_result_gets_what_the_servers_did(verified: Path, tmp_path: Path) -> None:
    code, text = smoke(verified, tmp_path / "out", "--report-file", "")
    assert code == 0, text
    before = json.loads((verified / "result.json").read_bytes())
    bundle = open_bundle(tmp_path / "out", word="export")
    result = bundle.json("result.json", schema="export-result")
    assert result["verdict"] == (
        before["verdict"] + " Served by onnxruntime with equal answers. Not tried: torchserve"
        " (no Python with torchserve was named), triton (it comes as a container only)."
    )
    assert result["status"] == "warn"
    changed = {"verdict": "", "smoke": [], "status": ""}
    assert {**result, **changed} == {**before, **changed}
    states = {one["target"]: (one["status"], one["message"]) for one in result["smoke"]}
    assert states == {
        "onnxruntime": ("pass", ""),
        "torchserve": ("skipped", "no Python with torchserve was named"),
        "triton": ("skipped", "it comes as a container only"),
    }
    ids = {fact["id"] for fact in bundle.json("facts.json")["facts"]}
    assert {
        fact["id"] for fact in json.loads((verified / "facts.json").read_bytes())["facts"]
    } < ids
    assert "export.smoke.onnxruntime.load.4.rate" in ids
    assert (tmp_path / "out/logs/smoke-onnxruntime.log").stat().st_size > 0
    report = (tmp_path / "out/report.md").read_text("utf-8")
    assert "3 of 3 equal" in report
    assert "curl http://127.0.0.1:8080/v2/models/embed/infer" in report
    assert str(tmp_path) not in report
    assert "smoke: onnxruntime: pass" in text


@pytest.mark.parametrize(
    ("target", "says"),
    [("triton", "container only"), ("torchserve", "no Python with torchserve was named")],
)
def test_a_server_that_cannot_be_tried_here_warns(
    verified: Path, tmp_path: Path, target: str, says: str
) -> None:
    code, text = smoke(verified, tmp_path / "out", "--target", target)
    assert code == 0, text
    result = json.loads((tmp_path / "out/result.json").read_bytes())
    assert result["status"] == "warn"
    assert f"Not tried: {target} (" in result["verdict"]
    assert says in result["verdict"]


def test_a_server_that_fails_fails_the_job(verified: Path, tmp_path: Path) -> None:
    code, text = smoke(
        verified, tmp_path / "out", "--target", "onnxruntime", "--ready-seconds", "0.1"
    )
    assert code == 1, text
    result = json.loads((tmp_path / "out/result.json").read_bytes())
    assert result["status"] == "fail"
    assert result["verdict"].startswith("The onnxruntime server failed: the server was not ready")
    assert result["smoke"][0]["reason"] == "never-ready"


def test_a_result_may_be_replaced_where_it_lies(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    result = tmp_path / "result"
    arguments = ["export", "verify", str(tmp_path / "bundle"), "--out", str(result)]
    assert call([*arguments, "--target", "onnxruntime"])[0] == 0
    before = (result / "SHA256SUMS").read_text("utf-8")
    assert smoke(result, result)[0] == 0
    bundle = open_bundle(result, word="export")
    assert len(bundle.json("result.json")["smoke"]) == 1
    assert (result / "SHA256SUMS").read_text("utf-8") == before
    ended = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=result, check=False
    )
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "seldon"], "`target` is 'seldon'"),
        (["--target", "torchserve", "--serving-python", sys.executable], "has no module"),
        (["--serving-python", "/no/python"], "`serving-python` is '/no/python'"),
        (["--url", "http://127.0.0.1:1"], "`url` needs one `target`"),
        (["--target", "triton", "--url", "ftp://a"], "`url` is 'ftp://a'"),
        (["--target", "triton", "--url", "http://u@a:1"], "`url` is 'http://u@a:1'"),
        (["--target", "triton", "--url", "http://a:99999"], "`url` is"),
        (["--concurrency", "0"], "`concurrency` is '0'"),
        (["--concurrency", "1,many"], "`concurrency` is '1,many'"),
        (["--requests", "0"], "requests"),
        (["--timeout-minutes", "nan"], "`timeout-minutes` is 'nan'"),
    ],
)
def test_options_that_cannot_be_used(
    verified: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    code, text = smoke(verified, tmp_path / "out", *options)
    assert (code, message in text) == (2, True), text
    assert not (tmp_path / "out/result.json").exists()


def test_a_folder_that_was_not_proven(verified: Path, tmp_path: Path) -> None:
    code, text = smoke(tmp_path, tmp_path / "out")
    assert (code, "no bundle" in text) == (2, True)
    write_bundle(tmp_path / "bundle")
    code, text = smoke(tmp_path / "bundle", tmp_path / "out")
    assert (code, "result.json` is missing" in text) == (2, True), text
    arguments = ["export", "verify", str(tmp_path / "bundle"), "--out", str(tmp_path / "result")]
    assert call(arguments)[0] == 0
    code, text = smoke(tmp_path / "result", tmp_path / "out")
    assert (code, "there are no serving files" in text) == (2, True), text


def test_a_model_that_failed_is_not_served(tmp_path: Path) -> None:
    import numpy as np

    bundle = tmp_path / "bundle"
    write_bundle(bundle)
    wrong = {"logits": np.zeros((1, 4), np.float32), "length": np.array([5])}
    np.savez(bundle / "cases/batch-1-seed-0.reference.npz", **wrong)  # type: ignore[arg-type]
    from mlactions.bundle import seal

    seal(bundle, "export")
    arguments = ["export", "verify", str(bundle), "--out", str(tmp_path / "result")]
    assert call([*arguments, "--target", "onnxruntime"])[0] == 1
    assert not (tmp_path / "result/serving").exists()
    code, text = smoke(tmp_path / "result", tmp_path / "out")
    assert (code, "the model was not proven" in text) == (2, True), text


def test_a_changed_serving_file_is_noticed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    result = tmp_path / "result"
    arguments = ["export", "verify", str(tmp_path / "bundle"), "--out", str(result)]
    assert call([*arguments, "--target", "onnxruntime"])[0] == 0
    place = result / "serving/onnxruntime/model_server/app.py"
    place.write_text(place.read_text("utf-8") + "\n", "utf-8")
    code, text = smoke(result, tmp_path / "out")
    assert (code, "does not have the size" in text) == (2, True), text


def test_sigterm_ends_the_command_and_its_server(verified: Path, tmp_path: Path) -> None:
    """As a runner does that cancels a job: 143, no process, no result that looks finished."""
    command = [sys.executable, "-m", "mlactions", "export", "smoke", str(verified)]
    command += ["--out", str(tmp_path / "out"), "--requests", "1000000", "--level-seconds", "60"]
    environ: dict[str, Any] = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    process = subprocess.Popen(
        command, env=environ, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    log = tmp_path / "out/logs/smoke-onnxruntime.log"
    deadline = time.monotonic() + 60
    while not (log.is_file() and "ready: embed" in log.read_text("utf-8")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    server = int(log.read_text("utf-8").partition("process [")[2].partition("]")[0])
    assert Path(f"/proc/{server}").exists()
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=30)
    assert (process.returncode, "Interrupted by SIGTERM" in text) == (143, True), text
    assert not Path(f"/proc/{server}").exists()
    assert not (tmp_path / "out/result.json").exists()


@pytest.mark.parametrize("name", ["cnn", "cnn-fp16", "cnn-int8", "lstm", "pair"])
def test_real_models_are_served_with_pytorchs_answers(zoo: Zoo, tmp_path: Path, name: str) -> None:
    """In single and half precision, quantised, and with two inputs and outputs."""
    result = tmp_path / "result"
    arguments = ["export", "verify", str(zoo.bundle(name)), "--out", str(result)]
    code, text = call([*arguments, "--target", "onnxruntime", "--target", "triton"])
    assert code == 0, text
    code, text = smoke(result, result)
    assert code == 0, text
    served = json.loads((result / "result.json").read_bytes())["smoke"][0]
    assert (served["target"], served["status"]) == ("onnxruntime", "pass")
    assert [asked["batch"] for asked in served["golden"]] == [1, 3, 7]
    rows = [row for asked in served["golden"] for row in asked["rows"]]
    assert {row["allowed"] for row in rows} == {
        {"cnn-fp16": 5e-3, "cnn-int8": 1e-1}.get(name, 1e-5)
    }
