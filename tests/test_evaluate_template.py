"""The command line: what a shell could do is refused, and no name becomes more than an argument."""

from __future__ import annotations

import shlex
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.errors import UserError
from mlactions.evaluate.settings import parse_seeds
from mlactions.evaluate.template import check_names, parse_template, values

PLAIN = "python eval.py --config {config} --output {output}"


def fill(command: str, **given_values: str | int | None) -> list[str]:
    known = {"config": "c.yaml", "name": "c", "seed": 0, "output": "o", "predictions": "p"}
    return parse_template(command).fill(values(**{**known, **given_values}))  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_characters="\0"), min_size=1))
def test_a_config_is_always_one_argument(name: str) -> None:
    arguments = fill(PLAIN, config=name)

    assert len(arguments) == 6
    assert arguments[3] in {name, f"./{name}"}
    assert not arguments[3].startswith("-")


@given(st.text(string.printable), st.text(string.printable))
def test_placeholders_inside_a_value_are_not_filled_again(before: str, after: str) -> None:
    name = f"{before}{{output}}{after}"

    assert fill(PLAIN, config=f"x{name}")[3] == f"x{name}"


def test_every_placeholder_is_filled_also_within_an_argument() -> None:
    command = "run --out={output} +experiment={name} seed={seed} {config} -p {predictions}"
    command += " a={{b}} x={y:{seed}} z={1}"

    assert fill(command, name="vit", seed=3) == [
        "run", "--out=o", "+experiment=vit", "seed=3", "c.yaml", "-p", "p", "a={b}",
        "x={y:3}", "z={1}",
    ]  # fmt: skip


def test_line_continuations_and_quotes_are_read_as_a_shell_would() -> None:
    command = "python eval.py \\\n  --config {config} \\\n  --note 'a  b' \"c d\" {output}"

    assert fill(command) == [
        "python",
        "eval.py",
        "--config",
        "c.yaml",
        "--note",
        "a  b",
        "c d",
        "o",
    ]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("cd x && python e.py {config} {output}", "`&&` needs a shell"),
        ("python e.py {config} > {output}", "`>` needs a shell"),
        ("python e.py {config} {output}; rm x", "`;` needs a shell"),
        ("python e.py {config} {output} | tee log", "`|` needs a shell"),
        ("python e.py $CONFIG {config} {output}", "`$C` would be expanded"),
        ('python e.py "$HOME/x" {config} {output}', "`$H` would be expanded"),
        ("python e.py `pwd` {config} {output}", "would be expanded"),
        ("CUDA_VISIBLE_DEVICES=0 python e.py {config} {output}", "starts with a variable"),
        ("python e.py {config} 'x {output}", "cannot be split"),
        ("  ", "it is empty"),
        ("python e.py {{config}} {output}", "{config} is missing"),
        ("python e.py {config}", "{output} is missing"),
        ("python e.py {output}", "{config} is missing"),
        ("bash -c 'python e.py {config} {output}'", "program text"),
        ("bash -eu -c 'python e.py {config}' {output}", "program text"),
        ("uv run /usr/bin/sh -ec 'e {name}' {output}", "program text"),
        ("python3.12 -c 'f(\"{config}\")' {output}", "program text"),
        ("env A=1 bash -o pipefail -c 'e {name}' {output}", "program text"),
    ],
)
def test_what_only_a_shell_could_do_is_refused(command: str, found: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_template(command)

    assert found in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("python e.py {confg} {output}", "Did you mean {config}?"),
        ("python e.py {config} {ouput}", "Did you mean {output}?"),
        ("python e.py {config} {output} --seed={SEED}", "Did you mean {seed}?"),
        ("python e.py {config} {output} {x}", "{config}, {name}, {seed}, {output}, {predictions}."),
        ("awk '{print}' {config} {output}", "Literal braces are doubled: {{print}}."),
    ],
)
def test_an_unknown_placeholder_is_refused_with_the_closest_known(command: str, hint: str) -> None:
    with pytest.raises(UserError, match="is no placeholder") as caught:
        parse_template(command)

    assert hint in (caught.value.hint or "")


def test_braces_that_are_no_placeholders_stay() -> None:
    command = """run '{"a": 1}' 'x=${seed}' {{seed}} 'model={a: 1}' {config} {output}"""

    assert fill(command, seed=7)[1:5] == ['{"a": 1}', "x=${seed}", "{seed}", "model={a: 1}"]
    assert not parse_template(command).uses("seed")


@pytest.mark.parametrize(
    "command",
    [
        "python e.py '$HOME' {config} {output}",
        r"python e.py \$HOME {config} {output}",
        "python e.py 'a && b; c > d' {config} {output}",
        'bash -c \'e.sh "$1" > "$2"\' run {config} {output}',
        "python e.py 'model={a: 1}' {config} {output}",
        "python e.py --price 5$ {config} {output}",
    ],
)
def test_what_reads_the_same_without_a_shell_is_accepted(command: str) -> None:
    assert parse_template(command).arguments == tuple(shlex.split(command))


def test_a_name_that_looks_like_an_option_is_refused_where_it_stands_alone() -> None:
    alone = parse_template("python e.py --config-name {name} {output}")
    attached = parse_template("python e.py --config-name={name} {output}")

    with pytest.raises(UserError, match="read as an option"):
        check_names(alone, ["vit", "-rf"])
    check_names(attached, ["-rf"])
    check_names(alone, ["vit"])


@pytest.mark.parametrize(
    ("command", "python"),
    [
        ("python e.py {config} {output}", ("python",)),
        ("uv run --frozen python3 e.py {config} {output}", ("uv", "run", "--frozen", "python3")),
        (".venv/bin/python3.12 -m e {config} {output}", (".venv/bin/python3.12",)),
        ("torchrun e.py {config} {output}", None),
    ],
)
def test_the_interpreter_is_found_in_the_command(
    command: str, python: tuple[str, ...] | None
) -> None:
    assert parse_template(command).python() == python


@pytest.mark.parametrize(
    ("lines", "seeds"),
    [
        ((), ()),
        (("0,1,2",), (0, 1, 2)),
        (("0 1", "7", " 8 , 9 "), (0, 1, 7, 8, 9)),
        (("-1",), (-1,)),
    ],
)
def test_seeds_are_numbers_in_their_order(lines: tuple[str, ...], seeds: tuple[int, ...]) -> None:
    assert parse_seeds(lines) == seeds


@pytest.mark.parametrize("line", ["0,x", "1.5", "0,0", "1e3", "9" * 30, "٣ x"])
def test_seeds_that_are_no_whole_numbers_are_refused(line: str) -> None:
    with pytest.raises(UserError, match="`seeds`"):
        parse_seeds((line,))
