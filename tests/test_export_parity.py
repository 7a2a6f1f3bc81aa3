"""The numbers of parity, and what they are held to."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from mlactions.errors import UserError
from mlactions.export import parity
from mlactions.export.arrays import Arrays, ArraysError
from mlactions.export.gates import Gate, Own, hold, read_gates
from mlactions.export.parity import Measures, hint, measure
from mlactions.settings import Status

STRICT = Gate(1e-5, "scaled")
FLOATS = some.floats(-1e3, 1e3, width=32)


def test_the_measures_of_a_known_difference() -> None:
    reference = np.array([[3.0, -4.0], [0.0, 12.0]], np.float32)
    value = np.array([[3.0, -4.5], [0.0, 12.0]], np.float32)

    found = measure("logits", reference, value)

    assert found.max_absolute == 0.5
    assert found.scaled == 0.5 / 12
    assert found.relative_l2 == 0.5 / 13
    assert found.cosine == pytest.approx((9 + 18 + 144) / 13 / math.sqrt(9 + 20.25 + 144))
    assert found.top1 == 1.0
    assert (found.index, found.reference, found.value) == ((0, 1), "-4", "-4.5")


def test_top1_counts_rows_whose_largest_is_elsewhere() -> None:
    reference = np.array([[1, 2, 3], [3, 2, 1]], np.float32)
    assert measure("logits", reference, reference[:, ::-1].copy()).top1 == 0.0
    assert measure("logits", reference, reference + np.float32(1)).top1 == 1.0
    assert measure("one", reference[:, :1], reference[:, :1]).top1 is None


@given(arrays(np.float32, (3, 4), elements=FLOATS), some.floats(-1, 1, width=32))
def test_the_error_is_that_of_the_plain_formula(reference: np.ndarray, by: float) -> None:
    value = reference + np.float32(by)
    exact = np.abs(value.astype(np.float64) - reference.astype(np.float64))
    found = measure("y", reference, value)
    assert found.max_absolute == exact.max()
    assert found.scaled == exact.max() / max(1.0, float(np.abs(reference).max()))


@settings(max_examples=20)
@given(arrays(np.float32, (5, 7), elements=FLOATS), arrays(np.float32, (5, 7), elements=FLOATS))
def test_pieces_do_not_change_the_numbers(first: np.ndarray, second: np.ndarray) -> None:
    whole, before = measure("y", first, second), parity.PIECE
    parity.PIECE = 3
    try:
        pieces = measure("y", first, second)
    finally:
        parity.PIECE = before
    assert (pieces.index, pieces.max_absolute) == (whole.index, whole.max_absolute)
    assert pieces.relative_l2 == pytest.approx(whole.relative_l2)
    assert pieces.cosine == pytest.approx(whole.cosine)


@pytest.mark.parametrize(
    ("reference", "value", "reason"),
    [
        ([1.0, np.nan], [1.0, np.nan], ""),
        ([1.0, np.inf], [1.0, np.inf], ""),
        ([1.0, np.inf], [1.0, -np.inf], "not-finite"),
        ([1.0, 2.0], [1.0, np.nan], "not-finite"),
        ([1.0, np.nan], [1.0, 2.0], "not-finite"),
        ([np.nan, np.nan], [np.nan, np.nan], "nothing-compared"),
        ([1.0, 2.0], [1.0, 2.00001], ""),
        ([1.0, 2.0], [1.0, 2.00003], "parity"),
        ([1e-7, 2e-7], [0.0, 0.0], "parity"),
        ([0.0, 0.0], [0.0, 0.0], ""),
        ([0.0, 0.0], [1e-6, 0.0], ""),
    ],
)
def test_what_is_held(reference: list[float], value: list[float], reason: str) -> None:
    found = measure("y", np.array(reference, np.float32), np.array(value, np.float32))
    assert hold(found, STRICT, Own(), {}).reason == reason


def test_absolute_means_absolute() -> None:
    found = measure("y", np.array([100.0], np.float32), np.array([100.0001], np.float32))
    assert hold(found, STRICT, Own(), {}).status is Status.PASS
    assert hold(found, Gate(1e-5, "absolute"), Own(), {}).reason == "parity"


def test_no_relative_term_is_added() -> None:
    reference = np.array([1.0], np.float32)
    value = reference + np.float32(2**-20)
    assert np.allclose(reference, value, atol=1e-12), "what others do"
    assert hold(measure("y", reference, value), Gate(1e-12, "scaled"), Own(), {}).reason == "parity"


def test_what_is_noise_in_torch_is_not_held_to_its_digits() -> None:
    found = measure("y", np.array([1e-9, 2e-9], np.float32), np.array([2e-9, 1e-9], np.float32))
    assert hold(found, STRICT, Own(1e-9, 0.0), {}).reason == ""
    assert hold(found, STRICT, Own(1e-12, None), {}).reason == "parity"
    assert hold(found, STRICT, Own(None, None, elsewhere=1e-9), {}).reason == ""


def test_whole_numbers_are_equal_or_wrong() -> None:
    reference = np.array([5, 1_000_000], np.int64)
    off = measure("best", reference, reference + np.array([0, 1]))
    assert hold(off, STRICT, Own(), {}).reason == "parity"
    assert hold(off, STRICT, Own(), {}).allowed == 0
    assert hold(off, Gate(1e-3, "scaled", named=True), Own(), {}).reason == ""


def test_shapes_and_types_are_compared_first() -> None:
    one = np.zeros((2, 3), np.float32)
    assert hold(measure("y", one, one[:1]), STRICT, Own(), {}).reason == "output-shape"
    double = one.astype(np.float64)
    assert hold(measure("y", one, double), STRICT, Own(), {}).reason == "output-type"
    half = one.astype(np.float16)
    assert hold(measure("y", one, half), STRICT, Own(), {"float32": "float16"}).reason == ""


def test_an_empty_output_equals_an_empty_output() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert hold(measure("y", empty, empty), STRICT, Own(), {}).reason == ""


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((3, 3), np.float32), "all of it is zero"),
        (np.arange(9, dtype=np.float32).reshape(3, 3).T, "last two axes swapped"),
        (np.roll(np.arange(9, dtype=np.float32).reshape(3, 3), 1, axis=0), "shifted by one"),
        (np.full((3, 3), 5, np.float32), "it equals torch's `other`"),
        (np.full((3, 3), -5, np.float32), ""),
    ],
)
def test_hints(value: np.ndarray, says: str) -> None:
    references = {
        "y": np.arange(9, dtype=np.float32).reshape(3, 3),
        "other": np.full((3, 3), 5, np.float32),
    }
    told = hint("y", references, np.ascontiguousarray(value))
    assert says in told
    assert bool(says) == bool(told)


def test_gates_from_lines() -> None:
    gates = read_gates(["1e-4", "logits=1e-3"], "scaled", "fp32", "none", ["logits", "z"])
    assert gates == {
        "logits": Gate(1e-3, "scaled", named=True, strict=True),
        "z": Gate(1e-4, "scaled", strict=True),
    }
    assert read_gates([], "scaled", "fp16", "none", ["z"])["z"].tolerance == 5e-3
    assert read_gates([], "scaled", "fp32", "dynamic-int8", ["z"])["z"].tolerance == 1e-1


@pytest.mark.parametrize("line", ["much", "logits=nan", "=1", "-1e-5", "inf", "logit=1e-4"])
def test_bad_gates(line: str) -> None:
    with pytest.raises(UserError, match="tolerance"):
        read_gates(
            [line, "logits="] if line == "=1" else [line], "scaled", "fp32", "none", ["logits"]
        )


def test_arrays_are_mapped_and_compressed_ones_are_refused(tmp_path: Path) -> None:
    made: dict[str, Any] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.float64(3),
        "c": np.zeros((0, 2)),
    }
    made["d"] = np.asfortranarray(made["a"])
    np.savez(tmp_path / "x.npz", **made)
    found = Arrays(tmp_path / "x.npz")
    assert list(found) == list(made)
    for name, array in made.items():
        assert np.array_equal(found[name], array)
    assert isinstance(found["a"], np.memmap)
    np.savez_compressed(tmp_path / "x.npz", **made)
    with pytest.raises(ArraysError, match="compressed"):
        Arrays(tmp_path / "x.npz")["a"]


@pytest.mark.parametrize(
    ("shape", "descr"),
    [
        ((10**7, 10**6), "<f4"),
        ((-1, 3), "<f4"),
        ((2, 4), "<f4"),
        ((0, 10**30), "<f4"),
        ((2, 3), "<U1"),
        ((2, 3), "<c8"),
        (("x", 3), "<f4"),
        ((2, 3), "(" * 500),
    ],
)
def test_a_header_that_is_not_true_is_refused(
    tmp_path: Path, shape: tuple[Any, ...], descr: str
) -> None:
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", stream.getvalue() + bytes(24))
    with pytest.raises(ArraysError, match=r"`a` in x\.npz is broken"):
        Arrays(tmp_path / "x.npz")["a"]


@pytest.mark.parametrize("content", [b"", b"PK nonsense", b"\x93NUMPY"])
def test_what_is_no_npz_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ArraysError, match=r"x\.npz"):
        Arrays(tmp_path / "x.npz")


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ArraysError, match="objects"):
        Arrays(tmp_path / "x.npz")["a"]
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00 cut")
    with pytest.raises(ArraysError, match="`a`"):
        Arrays(tmp_path / "y.npz")["a"]


def test_measures_that_are_no_number_do_not_pass() -> None:
    broken = Measures("y", "float32", "float32", (1,), (1,), elements=1, max_absolute=math.nan)
    assert hold(broken, STRICT, Own(), {}).reason == "parity"


WHOLE = Gate(1e-5, "scaled", strict=True)
NOISE = Own(1e-8, 1e-8)


def test_a_choice_that_changed_fails_where_torch_had_a_clear_one() -> None:
    """One huge score elsewhere lets the scaled error of these pass."""
    reference = np.array([[1e6, 0, 0], [0, 1, 1.5]], np.float32)
    clear, close = reference.copy(), reference.copy()
    clear[1] = 0, 1.5, 1
    assert hold(measure("y", reference, clear), WHOLE, NOISE, {}).reason == "top1-changed"
    assert hold(measure("y", reference, clear), STRICT, NOISE, {}).reason == ""
    reference[1, 1] = close[1, 2] = 1.5 - 2e-6
    close[1, 1] = 1.5
    row = hold(measure("y", reference, close), WHOLE, NOISE, {})
    assert (row.reason, row.doubt) == ("", "top1-changed")
    assert hold(measure("y", reference, close), WHOLE, Own(1e-6, 1e-6), {}).doubt == ""


def test_small_values_do_not_hide_behind_large_ones() -> None:
    reference = np.array([[1e6, 2], [1e6, 3], [1e6, 4]], np.float32)
    value = reference.copy()
    value[1, 1] = 3.5
    row = hold(measure("y", reference, value), WHOLE, NOISE, {})
    assert (row.reason, row.doubt) == ("", "small-values-off")
    assert hold(measure("y", reference, reference), WHOLE, NOISE, {}).doubt == ""


def test_a_column_of_zeros_is_not_rounding() -> None:
    reference = np.array([[1, 1e-6], [2, 2e-6], [3, 3e-6]], np.float32)
    value = reference * np.array([1, 0], np.float32)
    row = hold(measure("y", reference, value), WHOLE, Own(1e-7, 1e-7), {})
    assert (row.reason, row.doubt) == ("", "small-values-off")
    assert (
        hold(measure("y", reference * np.float32(1e-30), value * 0), WHOLE, NOISE, {}).doubt == ""
    )


def test_the_rounding_of_large_columns_covers_no_small_ones() -> None:
    """Logits of 10,000 beside probabilities: each is held to the noise of its own size."""
    random = np.random.default_rng(0)
    reference = np.concatenate([1e4 + random.random((8, 2)), random.random((8, 2))], axis=1)
    value = reference + np.array([0, 0, 1e-3, 1e-3])
    measured = measure("y", reference.astype(np.float32), value.astype(np.float32))
    row = hold(measured, WHOLE, Own(1e-7, 1e-7, relative=1e-7), {})
    assert (row.reason, row.doubt) == ("", "small-values-off")
    assert hold(measured, WHOLE, Own(1e-7, 1e-7, relative=1e-3), {}).doubt == ""


def test_an_output_lost_near_the_noise_is_lost_all_the_same() -> None:
    reference = np.linspace(-6e-7, 6e-7, 12, dtype=np.float32).reshape(4, 3)
    lost = measure("y", reference, reference * 0)
    assert hold(lost, WHOLE, Own(1e-7, 1e-7), {}).reason == "parity"
    assert hold(lost, WHOLE, Own(5e-7, 1e-7), {}).reason == ""
    rounded = measure("y", reference, reference + np.float32(2e-7))
    assert hold(rounded, WHOLE, Own(1e-7, 1e-7), {}).reason == ""


def test_a_small_output_that_is_off_as_a_whole_is_said() -> None:
    reference = np.linspace(-1e-7, 1e-7, 12, dtype=np.float32).reshape(4, 3)
    own = Own(1e-14, 0.0)
    row = hold(measure("y", reference, reference * np.float32(1.002)), WHOLE, own, {})
    assert (row.reason, row.doubt) == ("", "small-output-off")
    close = measure("y", reference, reference * np.float32(1.00002))
    assert hold(close, WHOLE, own, {}).doubt == ""


@pytest.mark.parametrize("mode", ["scaled", "absolute"])
def test_a_tolerance_above_the_largest_value_holds_nothing_back(mode: str) -> None:
    reference = np.array([[3.0, -40.0]], np.float32)
    measured = measure("y", reference, reference)
    huge, fair = (Gate(tolerance, mode, strict=True) for tolerance in (1e9, 0.5))  # type: ignore[arg-type]  # a mode
    assert hold(measured, huge, NOISE, {}).doubt == "tolerance-large"
    assert hold(measured, fair, NOISE, {}).doubt == ""
