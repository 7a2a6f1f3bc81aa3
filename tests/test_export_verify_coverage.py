"""No gated case passes by silence: what is missing, empty or untried is said, and fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mlactions.bundle import seal, write_json
from mlactions.errors import UserError
from mlactions.export import judge, matrix
from mlactions.export.exported import (
    Axis,
    Case,
    Exported,
    Metadata,
    Provenance,
    TensorSpec,
    Timing,
)
from mlactions.export.gates import Gate
from mlactions.export.parity import Measures, measure
from mlactions.export.reading import open_export
from mlactions.export.result import Provider
from mlactions.settings import Status
from tests.export_faults.bundles import write
from tests.export_faults.faults import sound
from tests.export_faults.networks import Array
from tests.export_faults.running import Outcome, verify_bundle

GATES = {name: Gate(1e-5, "scaled") for name in ("first", "second")}
OUTCOMES = ("compared", "refused", "crashed", "timed-out", "not-run")
SPECS = tuple(TensorSpec(name, "float32", ("batch", 2)) for name in GATES)

MEASURED = {
    "right": lambda name: measure(name, _row(1, 2), _row(1, 2)),
    "wrong": lambda name: measure(name, _row(1, 2), _row(1, 3)),
    "shaped": lambda name: measure(name, _row(1, 2), _row(1)),
    "nan": lambda name: measure(name, _row(np.nan, np.nan), _row(np.nan, np.nan)),
    "masked": lambda name: measure(name, _row(-np.inf, -np.inf), _row(-np.inf, -np.inf)),
    "empty": lambda name: measure(name, _row(), _row()),
}


def _row(*values: float) -> Array:
    return np.array([values], np.float32)


def _exported(cases: tuple[Case, ...], axes: tuple[Axis, ...] = ()) -> Exported:
    return Exported(
        status="ok",
        failure=None,
        model=None,
        checkpoint=None,
        inputs=(TensorSpec("x", "float32", ("batch" if axes else 5, 2)),),
        outputs=SPECS,
        axes=axes,
        opset=20,
        precision="fp32",
        optimize="none",
        quantize="none",
        files=("model/model.onnx",),
        cases=cases,
        timing=Timing(),
        task=None,
        metadata=Metadata(),
        provenance=Provenance(),
    )


def _case(number: int, kind: str = "gated", **axes: int) -> Case:
    batch = axes.get("batch", 1)
    return Case(f"case-{number}", kind, batch, axes, 0, "random", "i", "r")  # type: ignore[arg-type]  # gated or edge


RAN = some.tuples(
    some.sampled_from(("gated", "edge")),
    some.sampled_from(OUTCOMES),
    some.dictionaries(some.sampled_from(tuple(GATES)), some.sampled_from(tuple(MEASURED))),
)


@settings(max_examples=300)
@given(some.lists(RAN, max_size=4), some.sampled_from(("used", "crashed", "absent")))
def test_what_did_not_match_is_a_failure_that_is_told(
    plan: list[tuple[str, str, Mapping[str, str]]], state: str
) -> None:
    """A gated case that failed gives a fail finding; no verdict passes without a comparison."""
    ran = tuple(
        matrix.Ran(
            _case(number, kind),
            outcome,  # type: ignore[arg-type]  # one of the literals
            tuple(MEASURED[what](name) for name, what in rows.items())
            if outcome == "compared"
            else (),
        )
        for number, (kind, outcome, rows) in enumerate(plan)
    )
    exported = _exported(tuple(one.case for one in ran))
    compared = (matrix.Compared(Provider("CPU", state), "", ran),)  # type: ignore[arg-type]  # one of the literals
    cases = judge.case_results(exported, compared, GATES)
    findings = judge.judge(judge.Evidence(exported, (), compared, cases, None))

    gated = [case for case in cases if case.kind == "gated"]
    proven = {
        row.output
        for case in gated
        for row in case.rows
        if row.max_absolute is not None and not row.reason
    }
    all_right = all(case.status is Status.PASS for case in gated)
    if not (all_right and proven == set(GATES)):
        assert judge.status_of(findings) is Status.FAIL
    else:
        assert judge.status_of(findings) is Status.WARN  # for no axis is dynamic
        assert {f.reason for f in findings if f.level == "warn"} == {"batch-fixed"}


@pytest.mark.parametrize(
    ("sizes", "reason", "level", "says"),
    [
        ((1, 2, 3, 7, 16, 20), "", "", ""),
        ((1, 2, 3, 7, 20), "matrix-incomplete", "fail", "Batch size 16 was"),
        ((1, 20), "matrix-incomplete", "fail", "2, 3, 7 and 16"),
        ((1, 2, 3, 7, 16), "matrix-incomplete", "fail", "1 to 20"),
        ((20,), "matrix-incomplete", "fail", "tried at 20"),
        ((), "matrix-incomplete", "fail", "tried at none"),
    ],
)
def test_the_declared_lengths_have_to_be_tried(
    sizes: tuple[int, ...], reason: str, level: str, says: str
) -> None:
    ran = tuple(matrix.Ran(_case(n, batch=n), "compared", tuple(map(_right, GATES))) for n in sizes)
    exported = _exported(tuple(one.case for one in ran), (Axis("batch", 1, 20),))
    compared = (matrix.Compared(Provider("CPU", "used"), "", ran),)
    cases = judge.case_results(exported, compared, GATES)
    findings = judge.judge(judge.Evidence(exported, (), compared, cases, None))
    found = [f for f in findings if f.reason == "matrix-incomplete"]
    assert [(f.reason, f.level) for f in found] == ([(reason, level)] if reason else [])
    assert all(says in finding.message for finding in found)


@pytest.mark.parametrize(
    ("cases", "reasons"),
    [
        (("masked", "right", "masked"), []),
        (("masked", "masked"), ["nothing-compared"]),
        (("nan", "right"), ["reference-not-finite"]),
    ],
)
def test_infinities_that_torch_gives_too_hold_if_a_number_does(
    cases: tuple[str, ...], reasons: list[str]
) -> None:
    """A mask may leave one sample nothing; a model that never gives a number proves nothing."""
    ran = tuple(
        matrix.Ran(_case(n, batch=n), "compared", tuple(MEASURED[what](name) for name in GATES))
        for n, what in enumerate(cases, 1)
    )
    exported = _exported(tuple(one.case for one in ran))
    compared = (matrix.Compared(Provider("CPU", "used"), "", ran),)
    results = judge.case_results(exported, compared, GATES)
    findings = judge.judge(judge.Evidence(exported, (), compared, results, None))
    assert list(dict.fromkeys(f.reason for f in findings if f.level == "fail")) == reasons


def _right(name: str) -> Measures:
    return MEASURED["right"](name)


def _verify(folder: Path, change: Callable[[Path, Exported], None]) -> Outcome:
    """Change a sound bundle, seal it anew, and verify it."""
    bundle = folder / "bundle"
    write(bundle, sound()["mlp"])
    change(bundle, open_export(bundle)[1])
    seal(bundle, "export")
    return verify_bundle(bundle, folder / "out", target=())


def test_a_reference_that_lacks_the_output_of_one_case(tmp_path: Path) -> None:
    def change(bundle: Path, exported: Exported) -> None:
        np.savez(bundle / exported.cases[3].reference, other=np.zeros(3))

    outcome = _verify(tmp_path, change)

    assert outcome.code == 1
    assert set(outcome.reasons()) == {"output-missing"}
    assert "seed" in outcome.result["verdict"]
    assert not (outcome.folder / "model").exists()


def test_edge_cases_alone_prove_nothing(tmp_path: Path) -> None:
    def change(bundle: Path, exported: Exported) -> None:
        kept = tuple(case for case in exported.cases if case.kind == "edge")
        write_json(bundle / "export.json", replace(exported, cases=kept).document())

    outcome = _verify(tmp_path, change)
    assert outcome.code == 1
    assert set(outcome.reasons()) == {"nothing-compared", "matrix-incomplete"}


def _pickled(bundle: Path, exported: Exported) -> None:
    np.savez(bundle / exported.cases[1].reference, logits=np.array([object()], dtype=object))


def _compressed(bundle: Path, exported: Exported) -> None:
    np.savez_compressed(bundle / exported.cases[1].inputs, x=np.zeros((1, 4), np.float32))


def _twice(bundle: Path, exported: Exported) -> None:
    cases = (exported.cases[0], *exported.cases)
    write_json(bundle / "export.json", replace(exported, cases=cases).document())


def _no_axes(bundle: Path, exported: Exported) -> None:
    write_json(bundle / "export.json", replace(exported, axes=()).document())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_pickled, "Python objects"),
        (_compressed, "compressed"),
        (_twice, "listed twice"),
        (_no_axes, "not in `axes`"),
    ],
)
def test_a_broken_bundle_is_named_and_leaves_nothing(
    tmp_path: Path, change: Callable[[Path, Exported], None], says: str
) -> None:
    with pytest.raises(UserError, match="broken bundle") as raised:
        _verify(tmp_path, change)
    assert says in raised.value.message
    assert str(tmp_path) not in raised.value.message
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_nan_of_torch_at_one_batch_size_is_no_fault_of_the_file() -> None:
    """Nothing was compared there, so nothing tells of a batch that the file was made for."""
    ran = tuple(
        matrix.Ran(_case(batch, batch=batch), "compared", tuple(map(MEASURED[what], GATES)))
        for batch, what in ((1, "right"), (2, "nan"), (3, "nan"))
    )
    exported = _exported(tuple(one.case for one in ran), (Axis("batch", 1, 3),))
    compared = (matrix.Compared(Provider("CPU", "used"), "", ran),)
    cases = judge.case_results(exported, compared, GATES)
    findings = judge.judge(judge.Evidence(exported, (), compared, cases, None))
    assert {(one.reason, one.output) for one in findings} == {
        ("reference-not-finite", name) for name in GATES
    }
    assert all("in 1 more case." in one.message for one in findings)
