"""What users write about inputs, axes and checkpoints: read exactly, or refused with what to do."""

from __future__ import annotations

import contextlib
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.errors import Exit, UserError
from mlactions.export.checkpoint import choose
from mlactions.export.exported import Axis, TensorSpec
from mlactions.export.settings import Settings, read_settings
from mlactions.export.spec import (
    FLOATS,
    INTEGERS,
    batches,
    lengths,
    parse_axes,
    parse_dynamic,
    parse_examples,
    parse_tensor,
    plan_cases,
    traced_lengths,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
SHAPES = st.lists(st.one_of(st.integers(1, 9999), NAMES), max_size=5)
AXES = st.dictionaries(NAMES, st.tuples(st.integers(1, 500), st.integers(1, 500)), max_size=4).map(
    lambda found: {n: Axis(n, low, low + span) for n, (low, span) in found.items()}
)


@given(NAMES, st.sampled_from([*FLOATS, "bool"]), SHAPES)
def test_a_declaration_reads_as_it_was_written(
    name: str, dtype: str, shape: list[int | str]
) -> None:
    line = f"{name}: {dtype}[{','.join(map(str, shape))}]"
    bounds = (0, 1) if dtype == "bool" else (None, None)
    assert parse_tensor(line) == TensorSpec(name, dtype, tuple(shape), *bounds)
    assert parse_tensor(f" {name} :  {dtype} [ {' , '.join(map(str, shape))} ] ").shape == tuple(
        shape
    )


@given(NAMES, st.sampled_from(INTEGERS), st.integers(-200, 300), st.integers(0, 100))
def test_integers_keep_their_range_or_are_refused(
    name: str, dtype: str, low: int, span: int
) -> None:
    fits = {"int8": (-128, 127), "uint8": (0, 255)}.get(dtype, (-(2**15), 2**15 - 1))
    line = f"{name}: {dtype}[batch] in {low}..{low + span}"
    if fits[0] <= low and low + span <= fits[1]:
        assert parse_tensor(line) == TensorSpec(name, dtype, ("batch",), low, low + span)
    else:
        with pytest.raises(UserError, match=f"no range of {dtype}"):
            parse_tensor(line)


@given(st.text(string.printable, max_size=40))
def test_no_line_is_a_bug(line: str) -> None:
    for parse in (parse_tensor, lambda text: parse_axes([text]), lambda t: parse_dynamic([t])):
        with contextlib.suppress(UserError):
            parse(line)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pixels float32[batch]", "no declaration of an input"),
        ("pixels: float33[batch]", "`float33` is no dtype"),
        ("pixels: float32[batch,0]", "'0' is no axis"),
        ("pixels: float32[batch,-1]", "'-1' is no axis"),
        ("pixels: float32[batch,,3]", "'' is no axis"),
        ("tokens: int64[batch]", "an integer input needs its range"),
        ("tokens: int64[batch] in 5..1", "the range is empty"),
        ("tokens: int8[batch] in 0..300", "no range of int8"),
        ("tokens: int64[batch] in 0.5..2", "no range of int64"),
        ("mask: bool[batch] in 0..1", "a bool has no range"),
        ("x: float32[batch] in 0..1e999", "the range is empty"),
    ],
)
def test_a_wrong_declaration_says_what_is_wrong(line: str, words: str) -> None:
    with pytest.raises(UserError, match="`example-inputs` has") as caught:
        parse_examples([line, "other: float32[batch]"])
    assert words in caught.value.message
    assert caught.value.hint


def test_a_range_may_be_scientific() -> None:
    assert parse_tensor("x: float32[batch] in -1e-3..+2.5") == TensorSpec(
        "x", "float32", ("batch",), -0.001, 2.5
    )


def test_examples_are_shapes_a_function_or_a_file() -> None:
    assert parse_examples(["data.batches:example"]).target == "data.batches:example"
    assert parse_examples(["data/x.npz"]).path == "data/x.npz"
    with pytest.raises(UserError, match="declares one name twice"):
        parse_examples(["x: float32[2]", "x: float32[3]"])
    with pytest.raises(UserError, match="`example-inputs` is missing"):
        parse_examples([])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sequence", "no axis"),
        ("sequence=1-5", "no axis"),
        ("sequence=0..5", "no two lengths"),
        ("sequence=5..5", "no two lengths"),
        ("sequence=9..5", "no two lengths"),
        ("sequence=1..99999999", "no two lengths"),
    ],
)
def test_a_wrong_axis_says_what_to_write(line: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        parse_axes([line])
    assert "sequence=1..512" in caught.value.hint


def test_axes_are_read_and_the_batch_has_a_default() -> None:
    assert parse_axes(["sequence = 4..512"]) == {
        "batch": Axis("batch", 1, 64),
        "sequence": Axis("sequence", 4, 512),
    }
    assert parse_axes(["batch=1..8"])["batch"] == Axis("batch", 1, 8)
    with pytest.raises(UserError, match="declared twice"):
        parse_axes(["a=1..2", "a=1..3"])
    assert parse_dynamic(["tokens[batch, _ ,words]"]) == {"tokens": ("batch", None, "words")}


@given(AXES)
def test_the_traced_input_is_within_the_axes_and_longer_than_one(axes: dict[str, Axis]) -> None:
    for name, length in traced_lengths(axes).items():
        assert axes[name].low <= length <= axes[name].high
        assert length >= 2


@given(
    AXES,
    st.lists(st.integers(1, 64), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True),
)
def test_the_matrix_covers_every_axis_at_both_ends(
    others: dict[str, Axis], sizes: list[int], seeds: list[int]
) -> None:
    axes = {**others, "batch": Axis("batch", 1, 64)}
    cases = plan_cases(axes, sizes, seeds)
    gated = [case for case in cases if case.kind == "gated"]

    assert len({case.id for case in cases}) == len(cases)
    for name, axis in axes.items():
        tried = {case.axes[name] for case in gated if name in case.axes}
        assert {axis.low, axis.high} <= tried
        assert all(axis.low <= length <= axis.high for length in tried)
    for size in sizes:
        found = {case.seed for case in gated if case.axes.get("batch") == size}
        assert found == set(seeds)
    assert {case.values for case in cases if case.kind == "edge"} == {"zeros", "large", "denormal"}


def test_the_batches_asked_for_are_cut_to_the_axis() -> None:
    assert batches(Axis("batch", 1, 64), (1, 2, 3, 7, 16)) == [1, 2, 3, 7, 16, 64]
    assert batches(Axis("batch", 2, 8), (1, 2, 3, 7, 16)) == [2, 3, 7, 8]
    assert batches(None, (1, 2)) == [1]
    assert lengths(Axis("sequence", 1, 512)) == [1, 2, 256, 511, 512]
    assert lengths(Axis("sequence", 3, 4)) == [3, 4]


def test_too_many_cases_are_refused() -> None:
    with pytest.raises(UserError, match="make 603 cases"):
        plan_cases({"batch": Axis("batch", 1, 300)}, range(1, 301), (0, 1))


GIVEN: dict[str, Any] = {
    "model": "zoo:Scale",
    "example_inputs": ("x: float32[batch,4]",),
    "seeds": ("0,1",),
}


def settings(folder: Path, **given: Any) -> Settings:
    """Return settings as the command line would."""
    return read_settings(GIVEN | given, folder=folder)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": ""}, "`model` is missing"),
        ({"model": "zoo.Scale"}, "not a factory's name"),
        ({"model_arguments": "{width: 3}"}, "`model-arguments` is not JSON"),
        ({"model_arguments": "[3]"}, "`model-arguments` is '[3]'"),
        ({"outputs": ("a", "a")}, "`outputs` has 'a'"),
        ({"outputs": ("two words", "0")}, "`outputs` has '0'"),
        ({"batch_sizes": ("1,x",)}, "`batch-sizes` is '1 x'"),
        ({"batch_sizes": ("0",)}, "`batch-sizes` is '0'"),
        ({"seeds": ("1,1",)}, "names a seed twice"),
        ({"opset": "9"}, "`opset` is '9'"),
        ({"python": "'"}, "`python` is"),
        ({"timeout_minutes": "0"}, "`timeout-minutes` is '0'"),
        ({"working_directory": "nowhere"}, "`working-directory` is 'nowhere'"),
        ({"checkpoint": "gone.pt"}, "`checkpoint` is 'gone.pt': there is no such file"),
        ({"checkpoint": "best:accuracy"}, "`checkpoint-dir` is missing"),
        ({"checkpoint_dir": "runs"}, "names no metric"),
        ({"checkpoint": "mlflow:model"}, "names nothing in MLflow"),
        ({"example_inputs": ("gone.npz",)}, "`example-inputs` is 'gone.npz'"),
        ({"example_inputs": ("x: float32[batch,words]",)}, "`words` is a dynamic axis of `x`"),
        ({"dynamic": ("x[batch]",)}, "`dynamic` is given"),
        ({"precision": "fp16"}, "`precision: fp16` changes the numbers"),
        ({"quantize": "dynamic-int8"}, "`quantize: dynamic-int8` changes the numbers"),
        ({"precision": "fp16", "task_data": "gone.npz"}, "`task-data` is 'gone.npz'"),
    ],
)
def test_a_wrong_option_is_named(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        settings(tmp_path, **given)
    assert words in caught.value.message
    assert caught.value.exit_code == Exit.BAD_INPUT


def test_what_is_set_arrives(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        model_arguments='{"width": 3}',
        axes=("batch=1..8",),
        batch_sizes=("1, 2",),
        python="uv run python",
    )
    assert found.model_arguments == {"width": 3}
    assert found.python == ("uv", "run", "python")
    assert [case.id for case in found.cases][:5] == [
        "batch-1-seed-0",
        "batch-1-seed-1",
        "batch-2-seed-0",
        "batch-2-seed-1",
        "batch-8-seed-0",
    ]
    assert found.timed_batches == (1,)


def test_paths_in_the_bundle_are_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    outside = tmp_path / "elsewhere.pt"
    outside.touch()
    assert choose(str(outside), folder=tmp_path / "repo", directory="").source == "elsewhere.pt"
    mlflow = choose("mlflow:models:/digits@champion", folder=tmp_path, directory="")
    assert (mlflow.path, mlflow.source) == (None, "mlflow:models:/digits@champion")
