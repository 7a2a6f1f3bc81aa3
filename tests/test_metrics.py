"""The metrics file: every shape that is accepted, every value that is not a number."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.errors import UserError
from mlactions.metrics import MAX_METRICS, Metrics, kind, parse_metrics, problem_of


def read(document: Any) -> Metrics:
    return parse_metrics(document, file="m.json")


@pytest.mark.parametrize(
    ("document", "values"),
    [
        ({"loss": 0.5}, {"loss": (0.5,)}),
        ({"metrics": {"loss": 1}}, {"loss": (1.0,)}),
        ({"metrics": {"loss": [1, 0.5]}}, {"loss": (1.0, 0.5)}),
        ({"val": {"loss": 1, "top": {"k5": 2}}}, {"val.loss": (1.0,), "val.top.k5": (2.0,)}),
        ({"accuracy/class=8": 0.9}, {"accuracy/class=8": (0.9,)}),
        ({"metrics": 0.5}, {"metrics": (0.5,)}),
    ],
)
def test_shapes(document: Any, values: dict[str, tuple[float, ...]]) -> None:
    found = read(document)

    assert (found.values, found.problems) == (values, ())


def test_provenance_belongs_to_the_wrapped_shape() -> None:
    assert read({"metrics": {"a": 1}, "provenance": {"data": "d"}}).provenance == {"data": "d"}
    assert read({"metrics": {"a": 1}, "provenance": "d"}).provenance == {}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "nan"),
        (math.inf, "infinite"),
        (-math.inf, "infinite"),
        (10**400, "infinite"),
        (True, "boolean"),
        (None, "null"),
        ("0.9", "string"),
        ([], "empty-list"),
        ([[1]], "not-a-number"),
        ([1, None], "null"),
        ({}, "not-a-number"),
    ],
)
def test_what_is_no_number(value: Any, reason: str) -> None:
    found = read({"metrics": {"good": 1, "bad": value}})

    assert dict(found.values) == {"good": (1.0,)}
    assert [(p.reason, p.metric, p.keys) for p in found.problems] == [
        (reason, "bad", ("metrics", "bad"))
    ]


def test_every_problem_is_named() -> None:
    found = read({"a": {"b": [math.nan, "x"]}, "c": None})

    assert [(p.reason, p.metric, p.found) for p in found.problems] == [
        ("nan", "a.b", "NaN"),
        ("string", "a.b", '"x"'),
        ("null", "c", "null"),
    ]


def test_two_spellings_of_one_name() -> None:
    found = read({"a": {"b": 1}, "a.b": 2})

    assert [(p.reason, p.keys) for p in found.problems] == [("duplicate-key", ("a.b",))]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "expected an object, found nothing."),
        ([], "expected an object, found a list."),
        ("x", "expected an object, found a string."),
        ({}, "the file holds no metric."),
        ({"metrics": {}}, "the file holds no metric."),
        ({str(n): 1 for n in range(MAX_METRICS + 1)}, "more than 100,000 metrics."),
    ],
)
def test_what_is_no_metrics_file(document: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(document)

    assert (caught.value.message, caught.value.file) == (message, "m.json")


@given(st.dictionaries(st.text(min_size=1), st.floats(allow_nan=False, allow_infinity=False)))
def test_finite_numbers_arrive_as_they_are(numbers: dict[str, float]) -> None:
    if numbers:
        found = read({"metrics": json.loads(json.dumps(numbers))})

        assert found.values == {name: (value,) for name, value in numbers.items()}
        assert found.problems == ()


@given(st.recursive(st.none() | st.booleans() | st.text() | st.floats(), st.lists, max_leaves=5))
def test_a_value_has_a_reason_or_is_finite(value: Any) -> None:
    if problem_of(value) is None:
        assert math.isfinite(value)


def test_kinds_are_named_as_in_json() -> None:
    values = [{}, [], "", True, 1, 1.0, None, ()]
    names = ["mapping", "list", "string", "boolean", "number", "number", "null", "tuple"]

    assert [kind(value) for value in values] == names
