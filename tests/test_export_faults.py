"""Wrongly exported models are refused for what is wrong with them; right ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlactions.export.result import REASONS
from mlactions.schema import load_json, validate
from tests.export_faults.faults import FAULTS, Fault, sound
from tests.export_faults.running import verify

SOUND = sound()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_wrong_export_fails_for_its_reason(fault: Fault, tmp_path: Path) -> None:
    outcome = verify(tmp_path, fault.make())

    assert outcome.code == 1
    assert outcome.reasons()[:1] == [fault.reason], outcome.result["verdict"]
    first = outcome.result["findings"][0]
    assert fault.says in first["message"]
    assert outcome.result["status"] == "fail"
    assert not (tmp_path / "out" / "model").exists(), "a failed model must not be handed out"
    assert outcome.result["files"] == []
    validate(outcome.result, "export-result", file="result.json")
    validate(load_json(tmp_path / "out" / "facts.json"), "facts", file="facts.json")


@pytest.mark.parametrize("name", SOUND)
def test_a_right_export_passes(name: str, tmp_path: Path) -> None:
    outcome = verify(tmp_path, SOUND[name])

    assert (outcome.code, outcome.result["status"]) == (0, "pass"), outcome.result["findings"]
    assert all(check["status"] == "pass" for check in outcome.result["checks"])
    validate(outcome.result, "export-result", file="result.json")
    validate(load_json(tmp_path / "out" / "facts.json"), "facts", file="facts.json")


def test_the_set_is_large_and_its_reasons_are_known() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 15
    assert {fault.reason for fault in FAULTS} <= set(REASONS)
