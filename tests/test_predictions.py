"""Predictions files: what is read is exact, what cannot be used is refused by line and column."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.__main__ import run
from mlactions.predictions import Item, PredictionsError, read_predictions
from mlactions.runner import Runner

SCORES = st.floats(allow_nan=False, allow_infinity=False)
COLUMNS = st.lists(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
    .map(str.strip)
    .filter(lambda name: name not in {"", "id", "correct"}),
    min_size=1,
    max_size=4,
    unique=True,
)


def read(tmp_path: Path, content: str | bytes) -> list[Item]:
    path = tmp_path / "p.jsonl"
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    path.write_bytes(data)
    return list(read_predictions(path))


def refusal(tmp_path: Path, content: str | bytes) -> PredictionsError:
    with pytest.raises(PredictionsError) as caught:
        read(tmp_path, content)
    return caught.value


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    expected = [
        Item("1", {"correct": 1.0, "loss": 0.5}),
        Item("img, 2", {"correct": 0.0, "loss": 1000.0}),
    ]
    lines = (
        '\ufeff{"id": 1, "correct": true, "loss": 0.5}\r\n\n'
        '{"loss": 1e3, "id": "img, 2", "correct": 0}'
    )
    table = '\ufeffid,correct,loss\r\n1,True,.5\r\n\r\n"img, 2",0,1e3\r\n'

    assert read(tmp_path, lines) == read(tmp_path, table) == expected


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        ("id,a\n1,x\n", "predictions-broken", 'line 2: `a` is "x" (string)'),
        ("id,a\n1,\n", "predictions-broken", 'line 2: `a` is "" (string)'),
        ("id,a\n1,1_0\n", "predictions-broken", 'line 2: `a` is "1_0" (string)'),
        ("id,a\n1,nan\n", "predictions-broken", "line 2: `a` is NaN (nan)"),
        ("id,a\n1,-inf\n", "predictions-broken", "line 2: `a` is -Infinity (infinite)"),
        ("id,a\n1,1\n1,2\n", "duplicate-id", 'line 3: `id` "1" is on line 2 already'),
        ("id,a\n1\n", "predictions-broken", "line 2: 1 cells under 2 columns"),
        ("id,a\n1,1,1\n", "predictions-broken", "line 2: 3 cells under 2 columns"),
        ("id,a,a\n1,1,1\n", "predictions-broken", "line 1: the column `a` comes twice"),
        ("id,a,id\n1,1,1\n", "predictions-broken", "line 1: the column `id` comes twice"),
        ('id,a\n"1"2,1\n', "predictions-broken", "line 2: not valid CSV"),
        ('id,a\n"1,1\n', "predictions-broken", "line 2: not valid CSV"),
        ("id,a\n" + "x" * 131_073 + ",1\n", "predictions-broken", "line 2: not valid CSV: field"),
        ("id,a\n1," + "9" * 5000, "predictions-broken", "line 2: `a` is Infinity (infinite)"),
        ("id,correct\n1,0.5\n", "predictions-broken", "line 2: `correct` is 0.5 (not 0 or 1)"),
        ("a,b\n1,1\n", "no-id", "line 2: the row has no `id`"),
        ("id,a\n,1\n", "no-id", "line 2: the row has no `id`"),
        ("id\n1\n", "predictions-empty", "no row, or no score"),
        ("id,a\n", "predictions-empty", "no row, or no score"),
        ("", "predictions-empty", "no row, or no score"),
        ("{}", "no-id", "line 1: the row has no `id`"),
        ('{"id": 1}', "predictions-empty", "no row, or no score"),
        ('{"id": 1, "a": 1}\n{"id": 2, "b": 1}', "predictions-broken", "line 2: its columns"),
        ('{"id": 1, "a": 1}\n{"id": 2}', "predictions-broken", "line 2: its columns"),
        ('{"id": 1, "a": 1}\n{"id": "1", "a": 1}', "duplicate-id", 'line 2: `id` "1" is on line 1'),
        ('{"id": 1, "a": 1}\n[1]\n', "predictions-broken", "line 2: not an object"),
        ('{"id": 1, "a": 1}\n\n{"id": 2\n', "predictions-broken", "line 3: not valid JSON"),
        ('{"id": 1, "a": 1, "a": 0}', "predictions-broken", "line 1: `a` is written twice"),
        ('{"id": 1, "id": 2, "a": 0}', "predictions-broken", "line 1: `id` is written twice"),
        ('{"id": 1, "a": {"b": 1, "b": 1}}', "predictions-broken", "line 1: `b` is written twice"),
        ('{"id": 1, "a": null}', "predictions-broken", "line 1: `a` is null (null)"),
        ('{"id": 1, "a": "1"}', "predictions-broken", 'line 1: `a` is "1" (string)'),
        ('{"id": 1, "a": [1]}', "predictions-broken", "line 1: `a` is a list (not-a-number)"),
        ('{"id": 1, "a": NaN}', "predictions-broken", "line 1: `a` is NaN (nan)"),
        ('{"id": 1, "a": 1e999}', "predictions-broken", "line 1: `a` is Infinity (infinite)"),
        ('{"id": 1, "a": 1' + "0" * 400 + "}", "predictions-broken", "line 1: `a` is 1000"),
        ('{"id": 1, "a": ' + "9" * 5000 + "}", "predictions-broken", "thousands of digits"),
        ('{"id": 1, "a": ' + "[" * 100_000, "predictions-broken", "line 1: nested too deeply"),
        ('{"id": true, "a": 1}', "no-id", "line 1: the row has no `id`"),
        ('{"id": 1.5, "a": 1}', "no-id", "line 1: the row has no `id`"),
        ('{"id": "\\ud800", "a": 1}', "predictions-broken", "line 1: `id` holds half of a"),
        ('{"id": 1, "\\ud800": 1}', "predictions-broken", "line 1: a column's name holds half"),
        ('{"id": "' + "x" * 10_001 + '", "a": 1}', "predictions-broken", "`id` has more than"),
        ("\ufeffid,a\n\ud800", "predictions-broken", "line 2: byte 0 is not UTF-8"),
        (b'{"id": 1, "a": 1}\n{"id": "\xff"}', "predictions-broken", "line 2: byte 8 is not UTF-8"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_its_place(
    tmp_path: Path, content: str | bytes, reason: str, said: str
) -> None:
    error = refusal(tmp_path, content)

    assert error.reason == reason
    assert said in error.message
    assert error.message.startswith("p.jsonl")
    assert f"line {error.line}" in error.message if error.line else "line" not in error.message
    assert len(error.message) < 300


@given(
    columns=COLUMNS,
    rows=st.dictionaries(
        st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), SCORES, min_size=1
    ),
    form=st.sampled_from(["jsonl", "csv"]),
)
def test_numbers_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, columns: list[str], rows: dict[str, float], form: str
) -> None:
    table = [
        {"id": name} | {column: value * (n + 1) for n, column in enumerate(columns)}
        for name, value in rows.items()
        if abs(value) < 1e300  # times a column's number it is still finite
    ] or [{"id": "1"} | dict.fromkeys(columns, 0.0)]

    found = read(tmp_path_factory.mktemp("predictions"), written(table, form))

    assert [{"id": item.id} | dict(item.scores) for item in found] == table


def written(table: list[dict[str, Any]], form: str) -> str:
    if form == "jsonl":
        return "\n".join(json.dumps(row) for row in table)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


@given(st.binary(max_size=300))
def test_any_bytes_are_accepted_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    found = []
    try:
        found = read(tmp_path_factory.mktemp("predictions"), content)
    except PredictionsError as error:
        refused = error.message.startswith("p.jsonl")
    else:
        refused = False
    assert refused or found
    if found:
        assert len({item.id for item in found} - {""}) == len(found)
        assert all(math.isfinite(value) for item in found for value in item.scores.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"id": 1, "correct": ' + "9" * 5000 + "}", "line 1: a number has thousands of digits"),
        (
            "id,correct\n" + "x" * 131_073 + ",1\n",
            "line 2: not valid CSV: field larger than field limit (10000)",
        ),
        ("id,correct,correct\n1,0,1\n", "line 1: the column `correct` comes twice"),
        ('{"id": 1, "correct": 1, "correct": 0}', "line 1: `correct` is written twice"),
    ],
)
def test_compare_names_what_it_cannot_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for side, text in (("base", content), ("head", "id,correct\n1,1\n")):
        (tmp_path / "p" / side).mkdir(parents=True)
        (tmp_path / "p" / side / "m.jsonl").write_text(text)
    Path("m.json").write_text('{"accuracy": 1}')
    rule = "{direction: higher, tolerance: {absolute: 0.1}, paired: same-weights}"
    Path("b.yaml").write_text(f"version: 1\nmodels: {{m: {{metrics: {{accuracy: {rule}}}}}}}\n")
    stream = io.StringIO()
    given = ("--baseline", "b.yaml", "--metrics", "m.json", "--predictions", "p", "--out", "out")

    code = run(["compare", *given], Runner(environ={}, stream=stream))

    assert code == 1
    (finding,) = json.loads(Path("out/result.json").read_text())["findings"]
    assert finding["message"] == f"`accuracy` of `m` cannot be paired: m.jsonl, {said}."


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_time_grows_with_the_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / "p"
    rows = [{"id": f"item-{n}", "correct": n % 2, "loss": n / 7} for n in range(100_000)]
    path.write_text(written(rows, form), encoding="utf-8")

    started = time.process_time()
    count = sum(1 for _ in read_predictions(path))

    assert count == len(rows)
    assert time.process_time() - started < 4, "seconds of CPU; a quadratic reader takes minutes"


def test_the_first_rows_come_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_text('{"id": 1, "a": 2}\nnot read yet\n')
    items = read_predictions(path)

    assert next(items) == Item("1", {"a": 2.0})
    with pytest.raises(PredictionsError, match="line 2: not valid JSON"):
        next(items)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "p"
    with path.open("wb") as stream:
        stream.truncate(64 * 2**20 + 1)  # sparse: no disk is used

    with pytest.raises(PredictionsError, match="p: larger than 64 MiB"):
        list(read_predictions(path))
