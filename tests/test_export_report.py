"""The report of an export, its facts and its words."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlactions import html
from mlactions.export.facts import facts
from mlactions.export.patterns import pattern
from mlactions.export.render import mebibytes, render, size_of
from mlactions.export.result import CaseResult, Parity
from mlactions.export.words import brief
from mlactions.markdown import render as to_markdown
from mlactions.report import plain
from mlactions.schema import load_json, validate
from mlactions.settings import Status

CASES = Path(__file__).parent / "cases" / "export"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_reports_look_as_accepted(case: str) -> None:
    result = load_json(CASES / case / "result.json")
    validate(result, "export-result", file=case)
    expected = CASES / case / "report.md"

    report = to_markdown(render(result))

    if os.environ.get("MLACTIONS_ACCEPT"):
        expected.write_text(report, encoding="utf-8")
    assert report == expected.read_text(encoding="utf-8")
    assert plain(render(result).verdict) in html.render(render(result), title="x").replace(
        "&#x27;", "'"
    ).replace("&#39;", "'").replace("&gt;", ">").replace("<code>", "").replace("</code>", "")


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_facts_have_ids_of_their_own_and_name_what_failed(case: str) -> None:
    result = load_json(CASES / case / "result.json")
    made = facts(result)

    assert len({fact.id for fact in made}) == len(made)
    document = {"version": 1, "facts": [vars(fact) for fact in made]}
    validate(document, "facts", file=case)
    reasons = {item["reason"] for item in result["findings"]}
    assert reasons <= {fact.value for fact in made if fact.id.startswith("export.finding")}


def test_names_that_differ_in_case_only_share_no_id() -> None:
    result = load_json(CASES / "passes" / "result.json")
    graph = {**result["graph"], "operators": [_operator("Relu"), _operator("relu")]}
    ids = [f.id for f in facts({**result, "graph": graph}) if f.id.startswith("export.operator")]
    assert ids == ["export.operator.ai.onnx.relu", "export.operator.ai.onnx.relu-2"]


def _operator(name: str) -> dict[str, Any]:
    return {"name": name, "domain": "", "count": 1}


def _case(batch: int, seed: int, error: float | None, length: int = 4) -> CaseResult:
    """Return a case with one output this far off; None for one that was refused."""
    status = Status.PASS if error is not None and error < 1e-5 else Status.FAIL
    rows: tuple[Parity, ...] = ()
    if error is not None:
        reason = "" if status is Status.PASS else "parity"
        numbers: dict[str, Any] = {
            "max_absolute": error,
            "scaled": error,
            "relative_l2": error,
            "cosine": 1.0,
        }
        rows = (
            Parity(
                "y", status, reason, 1, "scaled", 1e-5, None, **numbers, top1=None, not_finite=0,
                index=(0,), reference="1", value="1",
            ),
        )  # fmt: skip
    axes = {"batch": batch, "sequence": length}
    outcome: Any = "compared" if rows else "refused"
    said = "" if rows else "it does not fit"
    return CaseResult(
        "c", "gated", batch, axes, seed, "random", "CPU", status, outcome, said, rows
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cases", "reason"),
    [
        ([_case(2, 0, 0.0), _case(3, 0, None), _case(7, 0, None)], "batch-specialised"),
        ([_case(2, 0, 0.0), _case(3, 0, 0.5), _case(7, 0, 0.5)], "batch-specialised"),
        ([_case(1, 0, 0.0), _case(3, 0, 0.5), _case(7, 0, 0.5)], None),
        ([_case(2, 0, 0.0), _case(2, 0, None, length=9)], "axis-specialised"),
        ([_case(2, 0, 0.0), _case(2, 1, 0.5), _case(3, 0, 0.5)], "specialised-constant"),
        ([_case(2, 0, 0.0), _case(2, 1, 2e-5)], None),
        ([_case(2, 0, 0.0), _case(2, 1, None)], None),
        ([_case(2, 0, 0.5), _case(3, 0, 0.5)], None),
        ([_case(2, 0, 0.0), _case(3, 0, 0.0)], None),
        ([], None),
    ],
)
def test_patterns(cases: list[CaseResult], reason: str | None) -> None:
    seen = pattern(cases)
    assert (seen.reason if seen else None) == reason


def test_rounding_of_reduced_precision_is_no_constant() -> None:
    """What int8 leaves is gross next to fp32's, and within three times what is allowed."""
    right, off = _case(2, 0, 0.0), _case(2, 1, 0.2)
    rough = replace(off, rows=tuple(replace(row, allowed=0.1) for row in off.rows))
    far = replace(off, rows=tuple(replace(row, allowed=0.01) for row in off.rows))
    assert pattern([right, rough]) is None
    assert pattern([right, far]) is not None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (3.14e-7, "3.1e-7"),
        (1e-5, "1e-5"),
        (0.63, "0.63"),
        (12.0, "12"),
        (1e-3, "0.001"),
        (12345.0, "1.2e4"),
    ],
)
def test_errors_are_brief(value: float | None, shown: str) -> None:
    assert brief(value) == shown


def test_sizes() -> None:
    assert [mebibytes(size) for size in (99, 2048, 341 << 20, 3 << 30)] == [
        "99 bytes",
        "2 KiB",
        "341 MiB",
        "3 GiB",
    ]
    assert size_of(85_200_000, "parameters") == "85.2 M parameters"
    assert size_of(33, "parameters") == "33 parameters"
