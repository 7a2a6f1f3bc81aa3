"""Values that mean the same are equal however they are spelt; all others are not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.values import (
    Match,
    canonical_key,
    dotted,
    equal,
    flatten,
    match,
    normal,
    parse,
    show,
    spread,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
FINITE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)

SAME = [
    (0.1, "0.1"),
    (0.1, "1e-1"),
    (0.1, "0.10"),
    (0.1, "0.10000000149011612"),  # a float32, printed
    (0.3, "0.30000000000000004"),
    (1000, "1e3"),
    (1, "1.0"),
    (-0.0, "0"),
    (None, "None"),
    (None, "null"),
    (True, "True"),
    (True, "true"),
    (False, "FALSE"),
    (float("inf"), "inf"),
    (float("nan"), "nan"),
    ("adamw", "adamw"),
    ("0.1", "1e-1"),  # quoted in the YAML
    ([1, 2], "[1, 2]"),
    ([1, 2], "(1, 2)"),
    (["a", "b"], "['a', 'b']"),
    (["a", "b"], '["a","b"]'),
    (["a", "b"], "[a, b]"),
    ([0.1], "[1e-1]"),
    ({"a": {"b": 1}}, "{'a': {'b': 1.0}}"),
    ({"a": 1, "b": 2}, '{"b": 2, "a": 1}'),
    ("./data/train.csv", "data//train.csv"),
    ("data/", "data"),
    ("a\nb <script>", "a\nb <script>"),
]
OTHER: list[tuple[Any, str, Match]] = [
    (0.1, "0.2", "different"),
    (0.1, "0.1000001", "different"),
    (12345678, "12345679", "different"),  # seeds are exact
    (1, "True", "different"),
    (0, "None", "different"),
    ("", "None", "different"),
    (0, "", "different"),
    ("none", "None", "different"),
    ("62e44511", "71e99887", "different"),  # digests, not infinity
    ("0e123456", "0e654321", "different"),
    ("007", "7", "different"),
    ("1e-400", "1e-401", "different"),
    (float("inf"), "-inf", "different"),
    (1.0, "nan", "different"),
    ([1, 2], "[1, 2, 3]", "different"),
    ([1, 2], "[2, 1]", "order"),
    ([1, 1, 2], "[1, 2, 2]", "different"),
    (["x", "y"], "['y', 'x']", "order"),
    ({"a": 1}, "{'a': 1, 'b': 2}", "different"),
    ("data/train.csv", "/home/ci/repo/data/train.csv", "location"),
    ("/home/ci/repo/data/train.csv", "data/train.csv", "location"),
    ("../train.csv", "/data/train.csv", "different"),
    ("train.csv", "/data/mytrain.csv", "different"),
    ("https://a.example/x", "https://a.example//x", "different"),
    ("x" * 7000, "x" * 6000, "beyond"),
    ("x" * 7000, "x" * 5999 + "y", "different"),
    ("x" * 7000, "x" * 5000, "different"),  # nothing cuts there
    ("x" * 501, "x" * 500, "beyond"),
    (list(range(3000)), str(list(range(3000)))[:6000], "beyond"),
    ({"a": "b" * 7000}, json.dumps({"a": "b" * 7000})[:6000], "beyond"),
]


@pytest.mark.parametrize(("current", "logged"), SAME, ids=repr)
def test_spellings_of_one_value_are_the_same(current: Any, logged: str) -> None:
    assert match(current, logged) == "same"


@pytest.mark.parametrize(("current", "logged", "found"), OTHER)
def test_other_values_are_told_apart(current: Any, logged: str, found: Match) -> None:
    assert match(current, logged) == found


@given(VALUES)
def test_a_value_is_the_same_as_python_prints_it(value: Any) -> None:
    text = str(value)
    if isinstance(value, dict | list) and any(word in text for word in ("nan", "inf")):
        return  # Python's literals have no word for these
    assert match(value, text) == "same"


@given(VALUES)
def test_a_value_is_the_same_as_json_writes_it(value: Any) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    assert match(value, text) == "same"


@given(VALUES, VALUES)
def test_equality_is_symmetric(first: Any, second: Any) -> None:
    left, right = normal(first), normal(second)
    assert equal(left, left)
    assert equal(left, right) == equal(right, left)


@given(FINITE, FINITE)
def test_what_differs_by_more_than_noise_is_never_the_same(first: Any, second: Any) -> None:
    def flat(value: Any) -> list[Any]:
        return (
            [item for part in value for item in flat(part)] if isinstance(value, list) else [value]
        )

    pairs = list(zip(flat(first), flat(second), strict=False))
    far = any(
        isinstance(a, bool) != isinstance(b, bool)
        or (a is None) != (b is None)
        or (a is not None and b is not None and not math.isclose(a, b, rel_tol=1e-6))
        for a, b in pairs
    )
    if far or len(flat(first)) != len(flat(second)):
        assert match(first, json.dumps(second)) != "same"


@given(st.lists(st.integers(-5, 5), max_size=6), st.randoms())
def test_a_shuffled_list_is_the_same_or_ordered_otherwise(items: list[int], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert match(items, str(shuffled)) == ("same" if shuffled == items else "order")


@given(st.text(max_size=200))
def test_any_text_can_be_parsed_and_shown(text: str) -> None:
    assert match(text, text) == "same"
    assert isinstance(show(parse(text)), str)


@pytest.mark.parametrize("text", ["[" * 5000, "{" * 100_001, "(" * 300 + ")" * 300, "9" * 5000])
def test_hostile_text_stands_for_itself_or_a_value_but_never_fails(text: str) -> None:
    assert match(text, text) == "same"


def test_a_parameter_s_name_is_one_place_however_it_is_logged() -> None:
    assert {canonical_key(key) for key in ("a.b.0", "a/b/0", "a/b[0]", "a.b[0]")} == {"a.b.0"}


def test_a_document_is_spread_to_its_values() -> None:
    document = {"a": {"b": 1, "c": [1, 2]}, "d": [{"e": 1}, {"e": 2}], "f": {}, "g": []}
    found = {dotted(place): value for place, value in flatten(document)}
    assert found == {"a.b": 1, "a.c": [1, 2], "d.0.e": 1, "d.1.e": 2, "f": {}, "g": []}


def test_logged_mappings_are_spread_and_logged_items_gathered() -> None:
    params = {
        "optimizer": "{'lr': 0.1, 'betas': (0.9, 0.99)}",
        "optimizer/lr": "0.2",
        "layers.0": "8",
        "layers.1": "16",
        "gap.0": "1",
        "gap.2": "3",
        "blocks": "[{'width': 4}]",
        "name": "{not a mapping",
    }
    found = spread(params)
    assert found["optimizer.lr"] == "0.2", "the parameter of that very name wins"
    assert found["optimizer.betas"] == [0.9, 0.99]
    assert found["layers"] == ["8", "16"]
    assert match([8, 16], found["layers"]) == "same"
    assert "gap" not in found
    assert found["blocks.0.width"] == 4
    assert found["name"] == "{not a mapping"


def test_values_are_shown_without_doubt_about_their_type() -> None:
    shown = [show(value) for value in ("adamw", "0.1", 0.1, None, True, "", " a", [1, "b"])]
    assert shown == ["adamw", "'0.1'", "0.1", "null", "true", "''", "' a'", '[1, "b"]']


LARGE = 10**400


@pytest.mark.parametrize(
    ("current", "logged", "expected"),
    [
        (LARGE, str(LARGE), "same"),
        (LARGE, str(LARGE + 1), "different"),
        (LARGE, "0.5", "different"),
        (LARGE, "inf", "different"),
        (LARGE, "nan", "different"),
        (0.5, str(LARGE), "different"),
        (2**60, str(2**60 + 1), "different"),
    ],
)
def test_integers_beyond_every_float_are_compared_as_integers(
    current: Any, logged: str, expected: Match
) -> None:
    assert match(current, logged) == expected
