"""SARIF as the standard and GitHub want it, by the word of Microsoft's own validator."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mlactions.sarif import MAX_RESULTS, Result, Rule, document, uri

FOLDER = Path(__file__).resolve().parents[1] / ".tools" / "sarif"
RULES = (
    Rule("drift/parameter", "DriftParameter", "A setting differs", "Set it back.", "error"),
    Rule("drift/code", "DriftCode", "The code changed", "Look at it."),
)
HOSTILE = "a [link](http://evil.example) {0} \u202e <b>`x`</b>\n::error::\x1b[31m"


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    """Return the standard's schema, as the validator ships it."""
    found = sorted(FOLDER.glob("node_modules/@microsoft/*/sarif-2.1.0.json"))
    assert found, "`make test` installs the validator: scripts/dev/sarif.sh"
    return Draft202012Validator(json.loads(found[0].read_text(encoding="utf-8-sig")))


def results(count: int = 1) -> list[Result]:
    return [
        Result("drift/code", "warning", f"Changed {number}", "src/a b.py", 7, str(number))
        for number in range(count)
    ]


def validated(log: Any, folder: Path) -> str:
    """Return what the validator says of errors and warnings, GitHub's rules among them."""
    file = folder / "log.sarif"
    file.write_text(json.dumps(log), encoding="utf-8")
    schema = next(FOLDER.glob("node_modules/@microsoft/*/sarif-2.1.0.json"))
    done = subprocess.run(
        [
            FOLDER / "validator",
            *("validate", file, "--rule-kind", "Sarif;Ghas", "--level", "Error;Warning"),
            *("--json-schema", schema, "--output", folder / "said.sarif"),
            *("--log", "ForceOverwrite"),
        ],
        env={"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads((folder / "said.sarif").read_text(encoding="utf-8-sig"))["runs"][0]
    assert "Analysis completed successfully" in done.stdout
    return "\n".join(f"{item['ruleId']}: {item['message']}" for item in said["results"])


def test_a_log_is_what_the_standard_and_github_ask_for(
    schema: Draft202012Validator, tmp_path: Path
) -> None:
    told = Result("drift/parameter", "error", HOSTILE, "configs/production.yaml", None, "lr")
    log = document(RULES, [*results(3), told], category="drift/nightly")
    schema.validate(log)
    assert validated(log, tmp_path) == ""


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    log = document(RULES, results(), category="drift")
    del log["runs"][0]["tool"]["driver"]["name"]
    assert "name" in validated(log, tmp_path)


def test_the_worst_come_first_and_no_more_than_github_shows(schema: Draft202012Validator) -> None:
    told = Result("drift/parameter", "error", "The worst", "c.yaml", 3, "lr")
    log = document(RULES, [*results(MAX_RESULTS), told], category="drift")
    found = log["runs"][0]["results"]
    schema.validate(log)
    assert len(found) == MAX_RESULTS
    assert found[0]["message"]["text"] == "The worst"
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == [
        "drift/parameter",
        "drift/code",
    ]
    assert {result["ruleIndex"] for result in found} == {0, 1}


def test_a_log_without_results_is_one_too(schema: Draft202012Validator, tmp_path: Path) -> None:
    """GitHub closes yesterday's alerts by it."""
    log = document(RULES, [], category="drift")
    schema.validate(log)
    assert validated(log, tmp_path) == ""
    assert log["runs"][0]["results"] == []


def test_a_finding_is_the_same_tomorrow_though_its_line_and_numbers_move() -> None:
    def fingerprint(line: int, text: str, subject: str = "lr") -> Any:
        told = Result("drift/parameter", "error", text, "c.yaml", line, subject)
        return document(RULES, [told], category="d")["runs"][0]["results"][0]["partialFingerprints"]

    assert fingerprint(3, "lr is 0.1") == fingerprint(9, "lr is 0.2")
    assert fingerprint(3, "lr is 0.1") != fingerprint(3, "lr is 0.1", "momentum")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("configs/production.yaml", "configs/production.yaml"),
        ("./a b/ü%.yaml", "a%20b/%C3%BC%25.yaml"),
        ("a:b#c?.yaml", "a%3Ab%23c%3F.yaml"),
    ],
)
def test_paths_are_relative_references(path: str, expected: str) -> None:
    assert uri(path) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.text(max_size=40), st.text(max_size=40))
def test_any_text_makes_a_log(
    schema: Draft202012Validator, text: str, file: str, subject: str
) -> None:
    told = Result("drift/parameter", "error", text, file, 1, subject)
    log = document(RULES, [told], category="drift")
    schema.validate(log)
    json.dumps(log)
