"""What is checked about workflows, actions and scripts, and proof that the checks can fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.lint_model import documents, parse
from dev.lint_workflows import RULES, lint, main
from tests.lint_cases import CASES, Case, action, job

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("workflows/*.yml")]
ACTIONS = [ROOT / "action.yml", *ROOT.glob("actions/**/action.yml")]
EXAMPLES = [(name, case) for name, cases in CASES.items() for case in cases]


def broken(case: Case, text: str) -> set[str]:
    return {problem.rule for problem in lint(parse(case.name, text))}


def tool(name: str, *arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a linter of our own environment."""
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay templates out as in a user's repository, where linters look for workflows."""
    root = tmp_path_factory.mktemp("tree")
    for path in WORKFLOWS:
        folder = root / ("templates" if path.parent.name == "workflows" else "own")
        if path.parent.parent.name == ".github":
            folder = root / "own"
        target = folder / ".github" / "workflows" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for path in ACTIONS:
        target = root / "own" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    for name in ("zizmor.yml", "dependabot.yml"):
        shutil.copy(ROOT / ".github" / name, root / "own" / ".github" / name)
    return root


def test_the_repository_keeps_every_rule() -> None:
    found = documents(ROOT)
    assert len(found) == len(WORKFLOWS) + len(ACTIONS) >= 10
    assert [str(problem) for document in found for problem in lint(document)] == []


def test_every_rule_has_cases() -> None:
    assert sorted(CASES) == sorted(rule.name for rule in RULES)
    assert all(rule.why for rule in RULES)


@pytest.mark.parametrize(("name", "case"), EXAMPLES)
def test_a_rule_fires_on_its_bad_case_and_not_on_its_good_one(name: str, case: Case) -> None:
    assert name in broken(case, case.bad)
    assert name not in broken(case, case.good)


def test_problems_name_file_line_and_reason() -> None:
    problems = lint(parse("w.yml", job("- run: true\n- run: echo ${{ github.ref }}")))
    assert " | ".join(map(str, problems)) == (
        "w.yml:14: script-expression: hand the value over through `env:` "
        "(an expression in a script is pasted in before the shell reads it)"
    )


def test_the_linter_ends_with_1_for_a_problem_and_for_an_empty_tree(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1
    (tmp_path / "action.yml").write_text(action("- run: x\n  shell: bash"))
    assert main([str(tmp_path)]) == 0
    (tmp_path / "action.yml").write_text(action("- uses: a/b@main"))
    assert main([str(tmp_path)]) == 1


def zizmor(*paths: Path) -> list[str]:
    """Audit offline; return what was found and not ignored. Code 3 means nothing was audited."""
    options = ("--offline", "--persona=auditor", "--strict-collection", "--format=json-v1")
    result = tool("zizmor", *options, *paths)
    assert result.returncode in (0, 11, 12, 13, 14), result.stderr
    return [
        f"{finding['ident']}: {place['symbolic']['key']['Local']['verbatim_path']}"
        for finding in json.loads(result.stdout)
        if not finding["ignored"]
        for place in finding["locations"][:1]
    ]


def test_zizmor_finds_nothing(tree: Path) -> None:
    assert zizmor(tree / "own") == []
    assert zizmor(tree / "templates") == []


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "x.yml").write_text(
        job("- run: echo ${{ github.head_ref }}", on="pull_request_target")
    )
    assert any("dangerous-triggers" in finding for finding in zizmor(tmp_path))


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *ACTIONS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_ignore_says_why(path: Path) -> None:
    for line in path.read_text().splitlines():
        if "ignore[" in line or "shellcheck disable" in line:
            reason = line.rpartition("]")[2] if "ignore[" in line else line.partition("#")[2]
            assert len(reason.split()) > 3, line


def test_actionlint_finds_nothing() -> None:
    shellcheck = Path(sys.executable).parent / "shellcheck"
    result = tool("actionlint", "-shellcheck", shellcheck, *WORKFLOWS)
    assert (result.returncode, result.stdout) == (0, "")


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text(job("- run: echo $HOME\n- uses: actions/checkout"))
    shellcheck = Path(sys.executable).parent / "shellcheck"
    result = tool("actionlint", "-shellcheck", shellcheck, tmp_path / "x.yml")
    assert result.returncode == 1
    assert "SC2086" in result.stdout
    assert "actions/checkout" in result.stdout


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.github-actions", ACTIONS),
        ("vendor.dependabot", [ROOT / ".github/dependabot.yml"]),
    ],
)
def test_files_have_the_shape_github_asks_for(
    schema: str, paths: list[Path], tmp_path: Path
) -> None:
    result = tool("check-jsonschema", "--builtin-schema", schema, *paths)
    assert result.returncode == 0, result.stdout
    (tmp_path / "x.yml").write_text("name: x\nruns: {}\njobs: {}\n")
    assert tool("check-jsonschema", "--builtin-schema", schema, tmp_path / "x.yml").returncode == 1


def scripts() -> list[tuple[str, str]]:
    """Every script of a composite action, and every shell file of the repository."""
    found = [
        (f"{document.name}:{step.line}", f"#!/usr/bin/env bash\nset -eo pipefail\n{step.script}\n")
        for document in documents(ROOT)
        if document.is_action
        for _, step in document.steps()
        if step.script
    ]
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    for name in filter(None, listed):
        path = ROOT / name
        if path.is_file() and path.suffix in {"", ".sh"} and _is_shell(path):
            found.append((name, path.read_text()))
    return found


def _is_shell(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.readline().rstrip() in {b"#!/usr/bin/env bash", b"#!/bin/sh", b"#!/bin/bash"}


@pytest.mark.parametrize(("name", "script"), scripts(), ids=lambda value: str(value)[:60])
def test_shellcheck_finds_nothing(name: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "script.sh").write_text(script)
    result = tool("shellcheck", "--severity=style", tmp_path / "script.sh")
    assert (result.returncode, result.stdout) == (0, ""), name


def test_the_launcher_and_the_composites_are_among_the_scripts() -> None:
    names = {name.partition(":")[0] for name, _ in scripts()}
    assert {"scripts/run", "actions/evaluate/action.yml", "scripts/dev/tools.sh"} <= names
