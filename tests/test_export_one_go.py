"""`export` without a subcommand: measure, verify and, where it is asked for, try the servers."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.errors import Exit
from mlactions.export.reading import open_export
from mlactions.runner import Runner
from tests.export_faults.running import verify_bundle
from tests.exported import MODELS, ROWS, TORCH_PYTHON, Zoo

SCALE = ("--model", "zoo:Scale", "--example-inputs", ROWS, "--batch-sizes", "1,2,3,7,16")
TITLE = " ONNX export\n"
SERVER = ("--smoke", "--target", "onnxruntime", "--seeds", "0")


@dataclass(frozen=True)
class Done:
    """How the command ended, and what it left."""

    code: int
    text: str
    summary: str
    result: Any


def one_go(project: Path, folder: Path, *arguments: str, **variables: str) -> Done:
    """Run `export` as a step does, or as a person does where no variable says GitHub."""
    stream, summary = StringIO(), folder / "summary.md"
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    environ |= {"GITHUB_STEP_SUMMARY": str(summary), **variables}
    environ |= {"GITHUB_OUTPUT": str(folder / "outputs")}
    given = ["--working-directory", str(project), "--python", str(TORCH_PYTHON)]
    out = folder / "out"
    code = run(["export", *given, *arguments, "--out", str(out)], Runner(environ, stream=stream))
    written = summary.read_text("utf-8") if summary.exists() else ""
    result = out / "result" / "result.json"
    document = json.loads(result.read_bytes()) if result.exists() else None
    return Done(code, stream.getvalue(), written, document)


def test_an_export_that_failed_ends_with_its_verdict(zoo: Zoo, tmp_path: Path) -> None:
    """Also where servers were to be tried: there are none, and what is wrong is shown once."""
    done = one_go(zoo.project, tmp_path, *MODELS["decision"], *SERVER, GITHUB_ACTIONS="true")
    assert done.code == Exit.FAILED_CHECK
    assert open_export(tmp_path / "out" / "measured")[1].status == "failed"
    assert done.result["status"] == "fail"
    assert "data-dependent-control-flow" in done.text
    assert done.summary.count(TITLE) == 1
    assert done.text.count("\nFAIL: ") == 1


def test_who_exports_on_a_laptop_is_told_where_the_model_lies(zoo: Zoo, tmp_path: Path) -> None:
    done = one_go(zoo.project, tmp_path, *SCALE, "--seeds", "0")
    assert done.code == Exit.PASS, done.text
    model = tmp_path / "out" / "result" / "model" / "model.onnx"
    assert done.text.endswith(f"\nmodel:  {model.resolve()}\n")
    assert "The file is model/model.onnx in the result's folder." in " ".join(done.text.split())


@pytest.mark.parametrize("wrong", [("--tolerance", "little"), ("--seeds", "many")])
def test_bad_input_leaves_no_model_of_an_earlier_run(
    wrong: tuple[str, str], zoo: Zoo, tmp_path: Path
) -> None:
    shutil.copytree(zoo.bundle("cnn"), tmp_path / "out" / "measured")
    verify_bundle(tmp_path / "out" / "measured", tmp_path / "out" / "result")
    assert len(list(tmp_path.rglob("model.onnx"))) == 2

    done = one_go(zoo.project, tmp_path, *SCALE, *wrong)

    assert done.code == Exit.BAD_INPUT
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_what_the_servers_did_is_shown_once(zoo: Zoo, tmp_path: Path) -> None:
    done = one_go(zoo.project, tmp_path, *SCALE, *SERVER, GITHUB_ACTIONS="true")
    assert done.code == Exit.PASS, done.text
    assert (tmp_path / "outputs").read_text("utf-8").count(
        "status<<"
    ) == 2  # measure's and the last
    assert [one["status"] for one in done.result["smoke"]] == ["pass"]
    assert done.summary.count(TITLE) == 1
    assert "curl http://127.0.0.1" in done.summary
    assert done.text.count("\nPASS: ") == 1
    assert "Served by onnxruntime" in done.text


def test_a_python_for_the_servers_is_handed_on(zoo: Zoo, tmp_path: Path) -> None:
    """And where it is of no use, the report of the model is not lost."""
    given = ("--smoke", "--target", "torchserve", "--seeds", "0")
    done = one_go(zoo.project, tmp_path, *SCALE, *given, "--serving-python", sys.executable)
    assert done.code == Exit.BAD_INPUT
    assert "has no module" in done.text
    assert done.summary.count(TITLE) == 1
    assert "PASS: " in done.text


def test_a_python_that_is_none_is_refused_before_the_export(zoo: Zoo, tmp_path: Path) -> None:
    done = one_go(zoo.project, tmp_path, *SCALE, *SERVER, "--serving-python", "/no/python")
    assert done.code == Exit.BAD_INPUT
    assert "`serving-python` is '/no/python'" in done.text
    assert not (tmp_path / "out").exists()
