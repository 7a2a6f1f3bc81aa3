"""An example whose samples are all the same hides what is wrong; so they are made to differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlactions.errors import Exit
from mlactions.export.reading import open_export
from mlactions.export.user.variation import Samples, vary
from tests.exported import in_torch, make_project
from tests.test_export_one_go import Done, one_go

_MODELS = '''
import torch
from torch import nn
from torch.compiler import is_compiling


class Right(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(8, 4)

    def forward(self, x):
        return self.layer(x)


class Constant(Right):
    """Its file gives the result of the example, ones, for everything."""

    def forward(self, x):
        if is_compiling():
            return self.layer(torch.ones(1, 8)).expand(x.shape[0], 4) + 0 * x[:, :1]
        return self.layer(x)


class Folded(Right):
    """Its file computes from the example."""

    def forward(self, x):
        return self.layer(torch.ones_like(x)) + 0 * x[:, :4] if is_compiling() else self.layer(x)


class Mean(Right):
    """Its file gives every sample the mean of the batch."""

    def forward(self, x):
        y = self.layer(x)
        return y.mean(0, keepdim=True).expand_as(y) if is_compiling() else y


class Words(nn.Module):
    """Embeddings of token ids, with a mask: (batch, words) -> (batch, 4)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 4)

    def forward(self, tokens, mask):
        return (self.table(tokens) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class Roots(Right):
    """Takes what is at least one."""

    def forward(self, x):
        return self.layer((x - 1).sqrt())


def ones(batch_size):
    return torch.ones(batch_size, 8)


def text():
    tokens = torch.tensor([[4, 9, 17, 0], [8, 33, 2, 5]])
    return tokens, torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 1]])


def same_words(batch_size):
    return torch.full((batch_size, 4), 7), torch.ones(batch_size, 4)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("alike") / "project")
    (root / "alike.py").write_text(_MODELS, encoding="utf-8")
    np.savez(root / "one.npz", x=np.ones((1, 8), np.float32))
    return root


def exported(project: Path, folder: Path, model: str, examples: str, *more: str) -> Done:
    given = ("--model", f"alike:{model}", "--example-inputs", examples, "--axes", "batch=1..16")
    return one_go(project, folder, *given, *more)


def reasons(done: Done, level: str) -> list[str]:
    return [found["reason"] for found in done.result["findings"] if found["level"] == level]


@pytest.mark.parametrize(
    ("model", "examples", "says"),
    [
        ("Constant", "one.npz", "where they vary"),
        ("Folded", "alike:ones", "where they vary"),
        ("Mean", "alike:ones", "samples of a batch are mixed"),
    ],
)
def test_a_wrong_file_fails_though_the_example_has_one_row(
    project: Path, tmp_path: Path, model: str, examples: str, says: str
) -> None:
    done = exported(project, tmp_path, model, examples)
    assert done.code == Exit.FAILED_CHECK
    assert says in done.result["findings"][0]["message"], done.result["findings"]


def test_a_right_file_passes_with_every_kind_of_input(project: Path, tmp_path: Path) -> None:
    """Two texts with their mask: ids stay in their range, and no mask is empty."""
    axes = ("--dynamic", "tokens[batch]", "--dynamic", "mask[batch]")
    done = exported(project, tmp_path, "Words", "alike:text", *axes)
    assert (done.code, done.result["status"]) == (Exit.PASS, "pass"), done.result["findings"]
    bundle, found = open_export(tmp_path / "out" / "measured")
    varied = [np.load(bundle.path(c.inputs)) for c in found.cases if c.values == "varied"]
    assert len(varied) == 5
    assert all(np.isin(inputs["tokens"], range(34)).all() for inputs in varied)
    assert all(np.isin(inputs["mask"], (0, 1)).all() for inputs in varied)
    assert all((inputs["mask"].sum(axis=1) >= 3).all() for inputs in varied)


def test_inputs_that_cannot_be_varied_prove_nothing(project: Path, tmp_path: Path) -> None:
    """Below one the model gives NaN: our values are not for it, and the user's are all the same."""
    done = exported(project, tmp_path, "Roots", "alike:ones")
    assert done.code == Exit.FAILED_CHECK
    assert reasons(done, "fail") == ["inputs-alike"]
    assert any("Few samples of `x` differ" in note for note in done.result["notes"])


def test_one_input_that_never_changes_is_a_warning(project: Path, tmp_path: Path) -> None:
    """Token ids all the same have no range to draw from; the mask beside them has."""
    axes = ("--dynamic", "tokens[batch]", "--dynamic", "mask[batch]")
    done = exported(project, tmp_path, "Words", "alike:same_words", *axes)
    assert (done.code, reasons(done, "warn")) == (Exit.PASS, ["inputs-alike"])
    assert "`tokens`" in done.result["verdict"].replace("Input tokens", "Input `tokens`")


def test_seeds_change_the_rows_at_the_examples_own_length(project: Path) -> None:
    """So do numpy's and Python's random numbers, if the function draws from them."""
    script = """
import sys, numpy as np, random, torch
sys.path[0:0] = [sys.argv[1]]
from user.examples import Given, seed_all
arrays = {"x": np.arange(6).reshape(3, 2)}
given = Given(arrays, {"x": ["batch", None]}, None)
rows = [given.random({"batch": 3}, seed)["x"].tolist() for seed in (0, 1, 2, -3)]
assert rows[0] == arrays["x"].tolist()
assert all(sorted(one) == rows[0] and one != rows[0] for one in rows[1:]), rows
drawn = []
for seed in (-1, -1, 4):
    seed_all(seed)
    drawn.append((random.random(), np.random.random(), torch.rand(1).item()))
assert drawn[0] == drawn[1] and not set(drawn[0]) & set(drawn[2]), drawn
"""
    user = Path(__file__).resolve().parents[1] / "scripts" / "mlactions" / "export"
    in_torch(script, project, str(user))


def test_samples_are_told_apart_by_their_values() -> None:
    samples = Samples([("x", ("batch", 2)), ("y", ("time", "batch")), ("z", (2,))])
    same, other = np.ones((3, 2), np.float32), np.array([[1, 1], [1, 2]], np.float32)
    samples.add({"x": same, "y": other, "z": np.array([1, 2])})
    samples.add({"x": same[:1], "y": np.ones((5, 2), np.float32), "z": np.array([1, 2])})
    assert {name: len(found) for name, found in samples.seen.items()} == {"x": 1, "y": 2, "z": 1}
    assert samples.alike() == ["x", "y", "z"]
    samples.add({"x": np.arange(20, dtype=np.float32).reshape(10, 2)})
    assert (len(samples.seen["x"]), samples.alike()) == (4, ["y", "z"])


@pytest.mark.parametrize(
    "array",
    [
        np.full((5, 3), 0.5, np.float32),
        np.full((5, 3), -2.0),
        np.zeros((5, 3), np.float32),
        np.array([[0, 1, 1]] * 5, np.float32),
        np.array([[False, True, True]] * 5),
        np.array([[3, 9, 9]] * 5),
        np.array([[0.0, -np.inf, 1.0]] * 5, np.float32),
        np.array([0, 1, 1, 0, 1]),
    ],
)
def test_varied_values_stay_within_what_was_observed(array: np.ndarray) -> None:
    whole = array.dtype.kind in "iu"
    low, high = (array.min(), array.max()) if whole else (None, None)
    shape = ["batch", *array.shape[1:]]
    tensor = {"name": "x", "shape": shape, "low": low, "high": high}
    found = vary({"x": array}, {"x": array}, [tensor], 0)["x"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert not np.array_equal(found, array)
    if array.any():
        inside = np.sort([np.zeros_like(array).ravel(), array.ravel()], axis=0)
        assert (inside[0].min() <= found).all()
        assert (found <= inside[1].max()).all()
    if array.ndim > 1:
        assert len({row.tobytes() for row in found}) > 1
