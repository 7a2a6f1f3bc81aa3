"""The runner's protocol: nothing a value contains can become a command or another output."""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.runner import ANNOTATIONS_PER_STEP, Annotation, Runner


def make_runner(**environ: str) -> tuple[Runner, io.StringIO]:
    stream = io.StringIO()
    return Runner(environ=environ, stream=stream), stream


def read_outputs(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does."""
    found, lines = {}, text.splitlines(keepends=True)
    while lines:
        name, delimiter = lines.pop(0).rstrip("\n").split("<<", 1)
        value = []
        while (line := lines.pop(0)).rstrip("\n") != delimiter:
            value.append(line)
        found[name] = "".join(value).removesuffix("\n")
    return found


def test_outputs_cannot_be_forged(tmp_path: Path) -> None:
    file = tmp_path / "output"
    runner, _ = make_runner(GITHUB_OUTPUT=str(file))
    hostile = "x\nEOF\nstatus<<EOF\npass\nEOF\nstatus=pass"

    runner.output("message", hostile)
    runner.output("status", "fail")

    assert read_outputs(file.read_text()) == {"message": hostile, "status": "fail"}


# The runner's own reader splits at these, so they are left to `test_outputs_cannot_be_forged`.
LINE_BREAKS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=LINE_BREAKS)))
def test_every_output_arrives(value: str) -> None:
    with tempfile.NamedTemporaryFile() as file:
        runner, _ = make_runner(GITHUB_OUTPUT=file.name)

        runner.output("value", value)

        assert read_outputs(file.read().decode()) == {"value": value}


@given(st.text(), st.text(), st.text())
def test_an_annotation_is_one_line(message: str, title: str, file: str) -> None:
    command = Annotation("error", message, title, file, 3).command()

    assert not re.search(r"[\r\n]", command)
    assert command.count("::") >= 2
    properties = command.removeprefix("::error").split("::", 1)[0]
    assert properties.count(",") <= 2


def test_annotations_are_escaped() -> None:
    shown = Annotation("warning", "50%\nworse", "a:b,c", "src/x.py", 7).command()

    assert shown == "::warning file=src/x.py,line=7,title=a%3Ab%2Cc::50%25%0Aworse"


def test_github_gets_ten_annotations_the_rest_are_log_lines() -> None:
    runner, stream = make_runner(GITHUB_ACTIONS="true")

    for number in range(ANNOTATIONS_PER_STEP + 3):
        runner.annotate(Annotation("error", f"::warning::{number}"))

    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("::error") for line in lines) == ANNOTATIONS_PER_STEP
    assert all("::" not in line for line in lines[ANNOTATIONS_PER_STEP:])


HIDDEN = "acc\u202eycar\u200b\x1b[2K\x07\U000e0041"


@pytest.mark.parametrize("environ", [{}, {"GITHUB_ACTIONS": "true"}])
@pytest.mark.parametrize("before", [0, ANNOTATIONS_PER_STEP])
def test_names_cannot_hide_or_reorder_what_is_shown(environ: dict[str, str], before: int) -> None:
    runner, stream = make_runner(**environ)
    for _ in range(before):
        runner.annotate(Annotation("error", "before"))
    stream.truncate(stream.seek(0))

    runner.annotate(Annotation("error", f"`{HIDDEN}` fell", HIDDEN, f"{HIDDEN}.yaml", 4))

    said = stream.getvalue()
    assert said.count("accycar") == 3
    assert said.isascii()
    assert said.removesuffix("\n").isprintable()


@pytest.mark.parametrize("environ", [{}, {"GITHUB_ACTIONS": "true"}])
def test_the_last_line_is_one_line_without_hidden_text(environ: dict[str, str]) -> None:
    runner, stream = make_runner(**environ)

    runner.conclude("fail", f"`{HIDDEN}`\nof x fell")

    assert stream.getvalue() == "FAIL: accycar of x fell\n"


@pytest.mark.parametrize("name", ["x\n::error::pass", "x\r::error::pass", "x ##[error]pass"])
def test_the_last_line_is_no_command(name: str) -> None:
    runner, stream = make_runner(GITHUB_ACTIONS="true")

    runner.conclude("fail", name)
    for _ in range(ANNOTATIONS_PER_STEP + 1):
        runner.annotate(Annotation("error", name))

    first, *_, last = stream.getvalue().splitlines()
    assert first.startswith("FAIL: x ")
    for line in (first, last):
        assert "::" not in line
        assert "##[" not in line


def test_a_terminal_gets_plain_text() -> None:
    runner, stream = make_runner()

    runner.annotate(Annotation("error", "worse", "regression", "b.yaml", 4))

    assert stream.getvalue() == "error: b.yaml:4 regression: worse\n"


def test_user_output_is_not_obeyed() -> None:
    runner, stream = make_runner(GITHUB_ACTIONS="true")

    with runner.untrusted_output():
        runner.say("::set-output name=status::pass")

    first, _, last = stream.getvalue().splitlines()
    token = first.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert last == f"::{token}::"


def test_a_summary_that_github_would_refuse_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    runner, _ = make_runner(GITHUB_STEP_SUMMARY=str(file))

    runner.summary("é" * 600_000)

    assert "too long" in file.read_text()


def test_secrets_are_not_shown_by_repr() -> None:
    runner, _ = make_runner(INPUT_TOKEN="s3cret")

    assert "s3cret" not in repr(runner)
