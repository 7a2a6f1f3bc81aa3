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


class Texts(nn.Module):
    """Its file gives every text the mean of the batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 4)

    def forward(self, x):
        y = self.table(x).mean(1)
        return y.mean(0, keepdim=True).expand_as(y) if is_compiling() else y


class Columns(nn.Module):
    """Categories with a table for each column, times a number: (batch, 3) -> (batch, 3)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tables = nn.ModuleList([nn.Embedding(size, 1) for size in (5, 1000, 3)])

    def forward(self, x, scale):
        return torch.cat([table(x[:, at]) for at, table in enumerate(self.tables)], 1) * scale


class Attends(nn.Module):
    """Looks at what a mask allows, (batch, words, words), and at one category of each word."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(50, 6)

    def forward(self, x, mask, kind):
        h = self.table(x)
        seen = (h @ h.transpose(1, 2)).masked_fill(mask == 0, float("-inf")).softmax(-1)
        return (seen @ h).mean(1) + (kind / kind.sum(-1, keepdim=True)).mean(1)


class Places(nn.Module):
    """Moves values to places, each of which has to be there."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(8, 4)
        self.table = nn.Embedding(6, 4)

    def forward(self, x, kind):
        return self.layer(x) + self.table(kind[:, 0]) + self.table(kind[:, 1] // 100)


def texts(batch_size):
    return torch.tensor([[4, 9, 17]]).repeat(batch_size, 1)


def columns():
    return torch.tensor([[2, 900, 1], [1, 30, 0], [4, 999, 2]]), torch.tensor(2.0)


def attends():
    mask, kind = torch.tril(torch.ones(1, 5, 5)), torch.eye(6)[None, [1, 3, 2, 0, 5]]
    return torch.tensor([[4, 9, 17, 2, 0]]), mask, kind


def places():
    return torch.arange(8.0)[None] + 1, torch.tensor([[3, 500]])


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


def test_texts_of_one_batch_have_to_differ(project: Path, tmp_path: Path) -> None:
    """One text, cut to several lengths, gives samples that differ, in no case two of them."""
    axes = ("--dynamic", "x[batch,time]", "--axes", "time=1..9", "--seeds", "0")
    done = exported(project, tmp_path, "Texts", "alike:texts", *axes)
    assert done.code == Exit.FAILED_CHECK, done.result["verdict"]
    assert "samples of a batch are mixed" in done.result["findings"][0]["message"]


def test_categories_keep_the_range_of_their_column_and_a_number_its_shape(
    project: Path, tmp_path: Path
) -> None:
    axes = ("--dynamic", "x[batch]", "--dynamic", "scale[]", "--batch-sizes", "1,2,3,7,16")
    done = exported(project, tmp_path, "Columns", "alike:columns", *axes)
    assert (done.code, reasons(done, "fail")) == (Exit.PASS, []), done.text
    bundle, found = open_export(tmp_path / "out" / "measured")
    assert [spec.shape for spec in found.inputs] == [("batch", 3), ()]
    inputs = {case.values: np.load(bundle.path(case.inputs)) for case in found.cases}
    assert inputs["large"]["x"][0].tolist() == [4, 999, 2]
    assert inputs["zeros"]["x"][0].tolist() == [1, 30, 0]
    assert (inputs["varied"]["x"] <= [4, 999, 2]).all()
    assert inputs["varied"]["scale"].shape == ()


def test_masks_and_categories_keep_what_a_row_has(project: Path, tmp_path: Path) -> None:
    axes = ("--dynamic", "x[batch]", "--dynamic", "mask[batch]", "--dynamic", "kind[batch]")
    done = exported(project, tmp_path, "Attends", "alike:attends", *axes, "--seeds", "0")
    assert (done.code, done.result["status"]) == (Exit.PASS, "pass"), done.result["findings"]


def test_what_torch_refuses_is_said_and_fails_nothing(project: Path, tmp_path: Path) -> None:
    """Of one row the columns' ranges are unknown: that input stays, the other is varied."""
    axes = ("--dynamic", "x[batch]", "--dynamic", "kind[batch]", "--seeds", "0")
    done = exported(project, tmp_path, "Places", "alike:places", *axes)
    assert (done.code, reasons(done, "warn")) == (Exit.PASS, ["inputs-alike"]), done.text
    notes = " ".join(done.result["notes"])
    assert "torch refuses the large input, an edge case that is left out: the model" in notes
    assert "Few samples of `kind` differ, and others could not be made: the model" in notes
    found = open_export(tmp_path / "out" / "measured")[1]
    kinds = {case.values for case in found.cases}
    assert "varied" in kinds
    assert "large" not in kinds


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


def test_samples_of_one_case_have_to_differ_as_far_as_it_has_them() -> None:
    rows = [np.full((batch, 2), value) for batch, value in ((3, 1), (3, 2), (1, 3), (2, 4))]
    mixed, single = (Samples([("x", ("batch", 2))]) for _ in range(2))
    for row in rows:
        mixed.add({"x": row})
        single.add({"x": row[:1]})
    assert (len(mixed.seen["x"]), mixed.alike()) == (4, ["x"])
    assert single.alike() == []
    mixed.add({"x": np.arange(6).reshape(3, 2)})
    assert mixed.alike() == []


def test_flags_are_shuffled_along_the_last_axis_of_a_sample() -> None:
    rows = np.tile(np.tril(np.ones((4, 4), np.float32)), (3, 1, 1))
    both = {"x": rows, "y": np.ascontiguousarray(np.moveaxis(rows, 0, -1))}
    shapes = {"x": ["batch", 4, 4], "y": [4, 4, "batch"]}
    tensors = [{"name": n, "shape": s, "low": None, "high": None} for n, s in shapes.items()]
    found = vary(both, both, tensors, 0)
    for name, axis in (("x", 2), ("y", 1)):
        assert np.array_equal(found[name].sum(axis=axis), both[name].sum(axis=axis))
        assert not np.array_equal(found[name], both[name])


def test_a_single_number_stays_one() -> None:
    tensor = {"name": "x", "shape": [], "low": 2, "high": 2}
    for number in map(np.array, (2, np.float32(2), 1.0)):
        found = vary({"x": number}, {"x": number}, [tensor], 0)["x"]
        assert (type(found), found.shape, found.dtype) == (np.ndarray, (), number.dtype)


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
