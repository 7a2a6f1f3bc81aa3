"""The event reader reads what PyYAML's composer reads, and finds lines in one pass."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions.errors import UserError
from mlactions.strict_yaml import MAX_DEPTH, parse_yaml
from mlactions.yaml_lines import line_of, lines_of, parse_marked


class Reference(yaml.CSafeLoader):
    """PyYAML with the core schema's numbers, to compare with."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # the base class declares it so


FLOAT = r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
FLOAT += r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"

for tag, pattern, starts in (
    ("null", r"~|null|Null|NULL|", None),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "float",
        FLOAT,
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    Reference.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), starts
    )

FRAGMENTS = [*"ab{}[],\n", "&x ", "*x", "<<: ", "- ", "  ", ": ", "1", "1e-3", ".inf", ".nan", "~"]
FRAGMENTS += ["true", "'q'", '"q"', "!!str ", "!!float ", "---\n", "# c", "? ", "|\n", "é", "-7"]


def outcome(text: str) -> tuple[str, str]:
    """Return what our reader makes of a text."""
    try:
        return "value", repr(parse_yaml(text, name="f"))
    except UserError as error:
        return "refused", error.title


def reference(text: str) -> tuple[str, str]:
    """Return what PyYAML makes of it."""
    try:
        return "value", repr(yaml.load(text, Loader=Reference))  # noqa: S506  # a safe loader
    except (yaml.YAMLError, ValueError, IndexError, RecursionError):
        return "refused", "not valid YAML"


@settings(max_examples=400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join))
def test_reads_what_pyyaml_reads(text: str) -> None:
    found = outcome(text)

    # PyYAML lets the last of two equal keys win, and an alias contain itself.
    if found[0] == "value" or found[1] == "not valid YAML":
        assert found[0] == reference(text)[0] or "!!" in text or "<<" in text
    if found[0] == "value" and reference(text)[0] == "value" and "<<" not in text:
        assert found == reference(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'1'", "1"),
        ("! 1", "1"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("!!int 7", 7),
        ("'<<'", "<<"),
        ("[&a {x: 1}, *a]", [{"x": 1}, {"x": 1}]),
        ("{a: &a {x: 1, y: 1}, b: &b {y: 2, z: 2}, c: {<<: [*a, *b], z: 3}}", None),
        ("? a\n: b", {"a": "b"}),
        ("[]", []),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_yaml(text, name="f")

    if value is None:
        assert found["c"] == {"x": 1, "y": 1, "z": 3}
    else:
        assert found == value
        assert type(found) is type(value)


def deep(*levels: int) -> str:
    """Return lines of nested lists, each around an alias of the line before."""
    inner, lines = "1", []
    for number, count in enumerate(levels):
        lines.append(f"x{number}: &x{number} {'[' * count}{inner}{']' * count}\n")
        inner = f"*x{number}"
    return "".join(lines)


@pytest.mark.parametrize(
    ("text", "title", "line"),
    [
        ("a: 1\n'a': 2\n", "duplicate key", 2),
        ("1: a\n1.0: b\n", "duplicate key", 2),
        ("{? [a] : b}\n", "not valid YAML", 1),
        ("{? {a: b} : c}\n", "not valid YAML", 1),
        ("a: *b\n", "not valid YAML", 1),
        ("a: &x 1\nb: &x 2\n", "not valid YAML", 2),
        ("a: {<<: 1}\n", "not valid YAML", 1),
        ("a: !!set {b}\n", "not valid YAML", 1),
        ("a: !!int x\n", "not valid YAML", 1),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "not valid YAML", 1),
        (deep(MAX_DEPTH // 2, MAX_DEPTH // 2), "not valid YAML", 2),
        (deep(*[MAX_DEPTH // 3 + 1] * 3), "not valid YAML", 3),
        ("a: \x01\n", "not valid YAML", None),
        (f"a: {'9' * 5000}\n", "not valid YAML", None),
    ],
)
def test_refusals(text: str, title: str, line: int | None) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, name="f")

    assert (caught.value.title, caught.value.line) == (title, line)


def test_aliases_may_nest_as_deeply_as_lists() -> None:
    found = parse_yaml(deep(MAX_DEPTH // 2, MAX_DEPTH // 2 - 1), name="f")

    depth, value = 0, found["x1"]
    while value != 1:
        depth, value = depth + 1, value[0]
    assert depth == MAX_DEPTH - 1


def test_lines_of_many_places() -> None:
    text = "a:\n  b: [1,\n    2]\n  c: &x\n    d: 1\ne: *x\n"

    found = lines_of(text, [("a", "b", 1), ("a", "c", "d"), ("e", "d"), ("z",), ()])

    assert found == {
        ("a", "b", 1): 3,
        ("a", "c", "d"): 5,
        ("e", "d"): 6,
        ("z",): 1,
        (): 1,
    }


MARKED = """\
a: &a
  b: 1
  c: [1, {d: 2},
      {e: 3}]
f: *a
g:
  <<: *a
  h: {i: 1}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("a", "b"), 2),
        (("a", "c", 1, "d"), 3),
        (("a", "c", 2), 4),
        (("a", "c", 0), 3),
        (("a", "nothing", "x"), 1),
        (("f",), 5),
        (("g", "h", "i"), 8),
        (("z",), None),
        ((), None),
    ],
)
def test_lines_noted_while_reading(keys: tuple[Any, ...], line: int | None) -> None:
    assert parse_marked(MARKED, name="f").line(keys) == line


def test_a_place_can_be_asked_for_exactly() -> None:
    marked = parse_marked(MARKED, name="f")

    assert marked.line(("a", "c", "x"), least=2) == 3
    assert marked.line(("a", "x", "y"), least=2) is None


def test_lines_up_to_a_syntax_error() -> None:
    assert line_of("a: 1\nb:\n  c: 2\nd: [\n", ("b", "c")) == 3


def test_no_line_in_an_empty_text() -> None:
    assert line_of("", ("a",)) is None


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(), min_size=1))
def test_every_key_stands_on_its_line(document: dict[str, int]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in document.items())

    found = lines_of(text, [(key,) for key in document])

    assert [found[key,] for key in document] == list(range(1, len(document) + 1))
