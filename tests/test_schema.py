"""Strict reading: what is refused, with which words, on which line."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlactions import schema
from mlactions.errors import UserError

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("-3", -3),
        ("1.", 1.0),
        ("no", "no"),
        ("012", "012"),
        ("12:30", "12:30"),
        ("2026-11-01", "2026-11-01"),
        ("true", True),
        ("~", None),
        ("0x10", "0x10"),
        ("{a: &t {x: 1}, b: {<<: *t, y: 2}}", {"a": {"x": 1}, "b": {"x": 1, "y": 2}}),
    ],
)
def test_yaml_has_the_core_schema(text: str, expected: Any) -> None:
    found = schema.parse_yaml(f"value: {text}\n", name="f.yaml")["value"]

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", [".nan", ".NaN"])
def test_yaml_nan_arrives_as_nan(text: str) -> None:
    assert math.isnan(schema.parse_yaml(f"v: {text}", name="f")["v"])


@pytest.mark.parametrize(
    ("text", "title", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "duplicate key", 3),
        ("m:\n  x: 1\n  x: 2\n", "duplicate key", 3),
        ("a: [1, 2\nb: 3\n", "not valid YAML", 2),
        ("a: 1\n---\nb: 2\n", "not valid YAML", 2),
        ("a: !!python/object/apply:os.system [id]\n", "not valid YAML", 1),
        ("a: &x [*x]\n", "endless alias", 1),
        (BOMB, "too many values", None),
    ],
)
def test_yaml_refuses(text: str, title: str, line: int | None) -> None:
    with pytest.raises(UserError) as caught:
        schema.parse_yaml(text, name="configs/baseline.yaml")

    assert (caught.value.title, caught.value.line) == (title, line)
    assert caught.value.file == "configs/baseline.yaml"
    assert "\n" not in str(caught.value)


def test_empty_yaml_is_none() -> None:
    assert schema.parse_yaml("# nothing\n", name="f") is None


@pytest.mark.parametrize(
    ("keys", "line"),
    [((), 1), (("a",), 1), (("m", "x"), 4), (("m", "list", 1), 7), (("m", "absent"), 3)],
)
def test_line_of_finds_the_place_or_the_nearest_above(keys: schema.Keys, line: int) -> None:
    text = "a: 1\n\nm:\n  x: 1\n  list:\n    - one\n    - two\n"

    assert schema.line_of(text, keys) == line


def test_line_of_reads_json_too() -> None:
    assert schema.line_of('{\n "metrics": {\n  "loss": NaN\n }\n}', ("metrics", "loss")) == 3


@pytest.mark.parametrize(
    ("text", "title", "line"),
    [
        ("", "not valid JSON", 1),
        ("{", "not valid JSON", 1),
        ('{"a": 1,\n "a": 2}', "duplicate key", 2),
        ('{"m": {"a": 1,\n\n "a": 2}}', "duplicate key", 3),
        ('{"m": {"a": 1},\n "n": {"a": 1},\n\t"o": {"a": 1,\n "a": 2}}', "duplicate key", 4),
        ('{"b": "\\"a\\": ",\n "a": 1,\n "\\u0061": 2}', "duplicate key", 3),
        ("[" * 100_000, "not valid JSON", None),
        ("9" * 5000, "not valid JSON", None),
        ("1" * 5000, "not valid JSON", None),
    ],
)
def test_json_refuses(text: str, title: str, line: int | None) -> None:
    with pytest.raises(UserError) as caught:
        schema.parse_json(text, name="m.json")

    assert (caught.value.title, caught.value.line) == (title, line)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_json_reads_what_json_wrote(document: Any) -> None:
    assert schema.parse_json(json.dumps(document), name="f") == document


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_yaml_reads_every_float_python_prints(number: float) -> None:
    assert schema.parse_yaml(f"v: {number!r}", name="f")["v"] == number


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_yaml_reads_what_pyyaml_wrote(document: dict[str, str]) -> None:
    text = yaml.safe_dump(document, default_style='"')

    assert schema.parse_yaml(text, name="f") == document


def test_read_text_names_what_is_wrong(tmp_path: Path) -> None:
    big, binary = tmp_path / "big", tmp_path / "binary"
    big.write_bytes(b"x" * 11)
    binary.write_bytes(b"ok \xff")
    cases = {big: "file too large", binary: "not text", tmp_path: "not a file"}
    cases[tmp_path / "absent"] = "file not found"

    for path, title in cases.items():
        with pytest.raises(UserError) as caught:
            schema.read_text(path, max_bytes=10_000 if path == tmp_path else 10)
        assert caught.value.title == title


def test_a_device_or_pipe_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(UserError, match="device, pipe or socket"):
            schema.read_text(path)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(b"\xef\xbb\xbf{}")

    assert schema.load_json(path) == {}


def test_validate_names_the_place() -> None:
    manifest = {"version": 1, "word": "compare", "files": [{"path": "a", "bytes": -1}]}

    with pytest.raises(UserError, match=r"files\.0"):
        schema.validate(manifest, "manifest", file="manifest.json")


def test_canonical_is_one_spelling() -> None:
    assert schema.canonical({"b": [1, 2.0], "a": "é"}) == '{"a":"é","b":[1,2.0]}'
