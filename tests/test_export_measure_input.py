"""Bad input to an export: each ends with exit code 2 and says what to write instead.

The real program answers all of them in one process of the Python with torch.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlactions.errors import Exit, UserError
from mlactions.export.outcome import Answer
from tests.exported import answers, in_torch, make_project

SCALE: dict[str, Any] = {"model": "zoo:Scale", "example_inputs": ("x: float32[batch,4]",)}

_CHECKPOINTS = """
import torch
from safetensors.torch import save_file
from torch import nn
from zoo import Scale
good = Scale().state_dict()
torch.save(good, "good.pt")
torch.save({"model_state_dict": good, "epoch": 3}, "nested.pt")
torch.save({"deep": {"weights": good}}, "deep.pt")
torch.save({"module." + name: tensor for name, tensor in good.items()}, "parallel.pt")
torch.save({"layer.weight": good["layer.weight"], "head.bias": torch.zeros(3)}, "other.pt")
torch.save({**good, "layer.weight": torch.zeros(3, 5)}, "shape.pt")
torch.save({"epoch": 3}, "empty.pt")
torch.save(Scale(), "whole.pt")
torch.jit.save(torch.jit.script(nn.Linear(4, 3)), "script.pt")
save_file(good, "good.safetensors")
"""

_BARE = """
import sys, zoo
def build():
    # What `import` finds where the package is not installed.
    sys.modules["safetensors.torch"] = None
    return zoo.Scale()
"""


class Attack:
    """What a pickle can do when it is loaded."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Make a file."""
        return Path.touch, (Path("attacked"),)  # type: ignore[return-value]  # any callable


def _checkpoint(name: str, **given: Any) -> dict[str, Any]:
    return {**SCALE, "checkpoint": name, **given}


ASKED: dict[str, dict[str, Any]] = {
    "no-module": {**SCALE, "model": "models.gone:build"},
    "no-factory": {**SCALE, "model": "zoo:Scales"},
    "missing-import": {**SCALE, "model": "needy:build"},
    "broken-import": {**SCALE, "model": "raising:build"},
    "factory-raises": {**SCALE, "model": "zoo:broken"},
    "wrong-argument": {**SCALE, "model_arguments": '{"depth": 3}'},
    "factory-leaves": {**SCALE, "model": "odd:leave"},
    "import-leaves": {**SCALE, "model": "leaving:build"},
    "examples-leave": {**SCALE, "example_inputs": ("odd:leave",)},
    "forward-leaves": {**SCALE, "model": "odd:Leaving"},
    "full-stop": {**SCALE, "model": "odd:sentence"},
    "returns-nothing": {**SCALE, "model": "odd:Nothing"},
    "returns-empty": {**SCALE, "model": "odd:Empty"},
    "not-a-model": {**SCALE, "model": "zoo:number"},
    "wrong-shapes": {**SCALE, "example_inputs": ("x: float32[batch,5]",)},
    "untied-axes": {
        "model": "zoo:Twins",
        "example_inputs": ("left: float32[batch,a]", "right: float32[batch,b]"),
        "axes": ("a=1..9", "b=1..9"),
    },
    "too-many-outputs": {**SCALE, "outputs": ("a", "b")},
    "same-name": {**SCALE, "outputs": ("x",)},
    "no-function": {**SCALE, "example_inputs": ("zoo:exampels",)},
    "function-returns": {**SCALE, "example_inputs": ("zoo:number",)},
    "npz-broken": {**SCALE, "example_inputs": ("text.npz",)},
    "npz-other-name": {**SCALE, "example_inputs": ("x.npz",), "dynamic": ("y[batch]",)},
    "npz-axis": {**SCALE, "example_inputs": ("x.npz",), "dynamic": ("x[batch,words]",)},
    "other-keys": _checkpoint("other.pt"),
    "other-shape": _checkpoint("shape.pt"),
    "no-weights": _checkpoint("empty.pt"),
    "no-key": _checkpoint("deep.pt", checkpoint_key="deep.state"),
    "not-a-checkpoint": _checkpoint("text.pt"),
    "lfs-pointer": _checkpoint("pointer.pt"),
    "cut-off": _checkpoint("cut.pt"),
    "attack": _checkpoint("attack.pt"),
    "whole-model": _checkpoint("whole.pt"),
    "torchscript": _checkpoint("script.pt"),
    "task-lacks": {**SCALE, "task_data": "x.npz"},
    "task-uneven": {**SCALE, "task_data": "uneven.npz"},
    "multiples": {
        "model": "odd:Quarters",
        "example_inputs": ("odd:eighths",),
        "dynamic": ("x[batch,s]",),
        "axes": ("s=4..64",),
    },
    "fixed": {**SCALE, "example_inputs": ("x: float32[5,4]",)},
    "good": _checkpoint("good.pt"),
    "no-checkpoint": SCALE,
    "nested": _checkpoint("nested.pt"),
    "deep": _checkpoint("deep.pt", checkpoint_key="deep.weights"),
    "parallel": _checkpoint("parallel.pt"),
    "allowed": _checkpoint("whole.pt", allow_pickle=True),
    "safetensors": _checkpoint("good.safetensors"),
    "safetensors-cut-off": _checkpoint("cut.safetensors"),
    # The last one: from here on that process has no such package.
    "no-safetensors": _checkpoint("good.safetensors", model="bare:build"),
}

SAID: dict[str, tuple[str, str, str]] = {
    "no-module": ("no such module", "there is no module `models`", "working directory"),
    "no-factory": ("no such factory", "`zoo` has no `Scales`", "Did you mean `Scale`?"),
    "missing-import": ("missing package", "imports `nowhere_to_be_found`", "Install it"),
    "broken-import": ("import failed", "RuntimeError: no data here", ""),
    "factory-raises": ("the factory raised", "FileNotFoundError: data/vocabulary.txt", "mend"),
    "wrong-argument": ("the factory raised", "unexpected keyword argument 'depth'", "arguments"),
    "factory-leaves": ("the factory ended Python", "`odd:leave` called sys.exit(3).", "return"),
    "import-leaves": ("import failed", "importing it called sys.exit('no GPU').", ""),
    "examples-leave": (
        "the example inputs' function raised",
        "`odd:leave` called sys.exit(3).",
        "",
    ),
    "forward-leaves": (
        "the model does not take the example inputs",
        "the model called sys.exit(4), given x float32[2, 4].",
        "`example-inputs`",
    ),
    "full-stop": ("the factory raised", "ValueError: no data. None at all.", "mend"),
    "returns-nothing": ("no tensors", "the model returns no tensors.", "`forward`"),
    "returns-empty": ("no tensors", "the model returns no tensors.", "`forward`"),
    "not-a-model": ("not a model", "returned int, not a torch.nn.Module", "return the model"),
    "wrong-shapes": (
        "the model does not take the example inputs",
        "given x float32[2, 5]",
        "`example-inputs`",
    ),
    "untied-axes": ("the model does not take the example inputs", "left float32[2, 7]", "forward"),
    "too-many-outputs": ("bad input", "`outputs` names 2, the model returns 1", "every output"),
    "same-name": ("bad input", "`x` is the name of an input and of an output", "`outputs`"),
    "no-function": ("no such function", "`zoo` has no `exampels`", "Did you mean `examples`?"),
    "function-returns": ("bad input", "returned int for `x`", "Return a tensor"),
    "npz-broken": ("bad input", "`example-inputs` is `text.npz`, which cannot be read", "savez"),
    "npz-other-name": ("bad input", "`dynamic` names `y`, which is no example input", "x"),
    "npz-axis": ("bad input", "`words` is a dynamic axis", "`words=1..512`"),
    "other-keys": (
        "checkpoint of another model",
        "Keys 1 missing: `layer.bias`; 1 unexpected: `head.bias`.",
        "`model-arguments`",
    ),
    "other-shape": (
        "checkpoint of another shape",
        "`layer.weight` is [3, 5], the model has [3, 4]",
        "`model-arguments`",
    ),
    "no-weights": ("no weights", "holds no state dict", "`checkpoint-key`. The file has: `epoch`"),
    "no-key": ("no such key", "`deep.pt` has no `state`", "It has: `weights`"),
    "not-a-checkpoint": ("not a checkpoint", "`text.pt`, which cannot be read", "torch.save"),
    "lfs-pointer": ("not a checkpoint", "a pointer of Git LFS", "git lfs pull"),
    "cut-off": ("not a checkpoint", "`cut.pt`, which cannot be read", "torch.save"),
    "safetensors-cut-off": (
        "not a checkpoint",
        "`cut.safetensors`, which cannot be read: SafetensorError",
        "safetensors",
    ),
    "no-safetensors": (
        "missing package",
        "`good.safetensors`, and the package safetensors is not installed",
        "Install it for the Python that `python` names",
    ),
    "attack": ("a pickle that may run code", "holds more than tensors", "`allow-pickle: true`"),
    "whole-model": (
        "a pickle that may run code",
        "which holds more than tensors: it is made with `zoo.Scale`.",
        "can run any program",
    ),
    "torchscript": ("a pickle that may run code", "TorchScript", "`allow-pickle: true`"),
    "task-lacks": ("bad input", "`task-data` lacks `label`", "`x`, `label`"),
    "task-uneven": ("bad input", "arrays of different lengths", ""),
}

PLACES = {
    "broken-import": "raising.py",
    "missing-import": "needy.py",
    "factory-raises": "zoo.py",
    "factory-leaves": "odd.py",
    "import-leaves": "leaving.py",
    "examples-leave": "odd.py",
    "forward-leaves": "odd.py",
    "full-stop": "odd.py",
    "wrong-shapes": "zoo.py",
    "untied-axes": "zoo.py",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("input") / "project")
    in_torch(_CHECKPOINTS, root)
    (root / "leaving.py").write_text("import sys\nsys.exit('no GPU')\n")
    (root / "raising.py").write_text("raise RuntimeError('no data here')\n")
    (root / "needy.py").write_text("import os\nimport nowhere_to_be_found\n")
    (root / "text.pt").write_text("epoch 3, accuracy 0.9\n")
    (root / "text.npz").write_text("epoch 3, accuracy 0.9\n")
    (root / "pointer.pt").write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n")
    (root / "cut.pt").write_bytes((root / "good.pt").read_bytes()[:-200])
    (root / "cut.safetensors").write_bytes((root / "good.safetensors").read_bytes()[:-9])
    (root / "bare.py").write_text(_BARE)
    (root / "attack.pt").write_bytes(pickle.dumps({"layer.weight": Attack()}))
    np.savez(root / "x.npz", x=np.zeros((3, 4), np.float32))
    np.savez(root / "uneven.npz", x=np.zeros((3, 4), np.float32), label=np.zeros(2, np.int64))
    return root


@pytest.fixture(scope="module")
def answered(project: Path) -> Any:
    return answers(project, project.parent / "answers", ASKED)


Answered = dict[str, Callable[[], Answer]]


@pytest.mark.parametrize("name", SAID)
def test_bad_input_is_refused_by_name(name: str, answered: Answered, project: Path) -> None:
    title, message, hint = SAID[name]
    with pytest.raises(UserError) as caught:
        answered[name]()
    error = caught.value
    assert (error.title, error.exit_code) == (title, Exit.BAD_INPUT)
    assert message in error.message
    assert hint in error.hint
    assert error.file == PLACES.get(name)
    assert (error.line is not None) == (name in PLACES)
    assert str(project) not in str(error)
    assert ".." not in error.message


def test_multiples_of_a_length_are_said_not_to_be_supported(answered: Answered) -> None:
    failure = answered["multiples"]().failure
    assert failure is not None
    assert (failure.kind, failure.file) == ("static-shape", "odd.py")
    assert "It takes only multiples of 4: such axes are not supported." in failure.message


def test_a_fixed_batch_is_told_by_its_length(answered: Answered) -> None:
    cases = answered["fixed"]().given["cases"]
    assert {case["batch"] for case in cases} == {5}
    assert [case["id"] for case in cases[:2]] == ["batch-5-seed-0", "batch-5-seed-1"]
    assert cases[0]["inputs"] == "cases/batch-5-seed-0.inputs.npz"
    assert cases[0]["axes"] == {}


def test_nothing_in_a_pickle_was_run(answered: Answered, project: Path) -> None:
    with pytest.raises(UserError):
        answered["attack"]()
    assert not (project / "attacked").exists()


@pytest.mark.parametrize(
    ("name", "key", "kind"),
    [
        ("good", "", "torch"),
        ("nested", "model_state_dict", "torch"),
        ("deep", "deep.weights", "torch"),
        ("parallel", "", "torch"),
        ("allowed", "", "pickle"),
        ("safetensors", "", "safetensors"),
    ],
)
def test_weights_are_found(name: str, key: str, kind: str, answered: Answered) -> None:
    answer = answered[name]()
    assert answer.failure is None
    found = answer.given["checkpoint"]
    assert (found["key"], found["format"], found["tensors"]) == (key, kind, 2)
    assert len(found["sha256"]) == 64


def test_a_wrappers_prefix_is_dropped_and_said(answered: Answered) -> None:
    assert answered["parallel"]().given["notes"] == [
        "The prefix `module.` of the checkpoint's keys was dropped."
    ]
    assert answered["good"]().given["notes"] == []


def test_what_was_unpickled_is_said(answered: Answered) -> None:
    (note,) = answered["allowed"]().given["notes"]
    assert note == "`whole.pt` was unpickled, for `allow-pickle` is set: it ran as code."


def test_weights_change_what_is_computed(answered: Answered, project: Path) -> None:
    """Five files hold the same weights, so their references are the same; two hold others."""
    reference = answered["good"]().given["cases"][0]["reference"]
    folder = project.parent / "answers"
    names = ("good", "nested", "deep", "parallel", "safetensors", "allowed", "no-checkpoint")
    found = {name: np.load(folder / name / reference)["output"] for name in names}
    for name in names[:5]:
        np.testing.assert_array_equal(found[name], found["good"])
    for name in names[5:]:
        assert np.abs(found[name] - found["good"]).max() > 0.01
