"""doctor: every rule finds what is wrong at its line, and lets alone what is right."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dev.lint_actors import CODEX, runs_user_code
from dev.lint_actors import measures as measures_job
from dev.lint_model import Document, parse
from mlactions.__main__ import run
from mlactions.doctor.check import Checkup, check
from mlactions.doctor.interface import CODE_WORKFLOWS, ROLES, role_of
from mlactions.doctor.model import Problem
from mlactions.init.packages import find_packages
from mlactions.runner import Runner
from tests.test_init import PIN, ROOT, init, repository

OWN = "codex-ml-actions/codex-ml-actions"
GATE = f"""\
name: Model gate
on:
  pull_request:
permissions: {{}}
jobs:
  gate:
    permissions:
      contents: read
      pull-requests: write
    uses: {OWN}/.github/workflows/gate.yml@{PIN}
    with:
      command: python evaluate.py --config {{config}} --output {{output}}
      configs: configs/*.yaml
    secrets:
      openai-api-key: ${{{{ secrets.OPENAI_API_KEY }}}}
"""
BASELINE = """\
version: 1
models:
  small:
    metrics:
      accuracy: {value: 0.9, direction: higher, tolerance: {absolute: 0.01}}
"""
FILES = {
    ".github/workflows/gate.yml": GATE,
    "evaluate.py": "",
    "configs/small.yaml": "a: 1\n",
    "configs/baseline.yaml": BASELINE,
}
JOB = f"""\
on: pull_request
permissions: {{}}
jobs:
  one:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@{PIN}
        with:
          fetch-depth: 0
          persist-credentials: false
      - uses: {OWN}/actions/evaluate@{PIN}
        with:
          command: python evaluate.py --config {{config}} --output {{output}}
"""


def load(path: str) -> str | None:
    found = ROOT / path
    return found.read_text() if found.is_file() else None


def checked(files: Mapping[str, str]) -> Checkup:
    packages = find_packages(files.keys(), files.get, [])
    return check(files, files.get, load=load, own=PIN, packages=packages)


def with_gate(before: str, after: str, text: str = GATE) -> Mapping[str, str]:
    assert before in text
    return {**FILES, ".github/workflows/gate.yml": text.replace(before, after)}


def line_of(files: Mapping[str, str], text: str) -> int:
    lines = files[".github/workflows/gate.yml"].splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def only(checkup: Checkup, rule: str) -> Problem:
    (problem,) = [problem for problem in checkup.problems if problem.rule == rule]
    return problem


@pytest.mark.parametrize("text", [GATE, JOB])
def test_a_set_up_that_is_right_has_no_problem(text: str) -> None:
    assert checked({**FILES, ".github/workflows/gate.yml": text}).problems == ()


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("workflows/*.yml")))
def test_our_own_templates_are_right_but_for_what_is_to_be_filled_in(name: str) -> None:
    text = (ROOT / "workflows" / name).read_text().replace("0" * 40, PIN)
    found = checked({".github/workflows/" + name: text})
    to_fill_in = {"no-config", "command", "no-baseline", "example-left"}
    left = [p for p in found.problems if p.rule not in to_fill_in and p.severity == "fail"]
    assert left == []


@pytest.mark.parametrize(
    ("before", "after", "rule", "says", "at"),
    [
        (f"gate.yml@{PIN}", "gate.yml@v0.1.0", "pin-not-a-commit", "can be moved", "@v0.1.0"),
        (f"gate.yml@{PIN}", "gate.yml", "pin-not-a-commit", "nothing", "gate.yml"),
        (f"gate.yml@{PIN}", "gate.yml@" + "0" * 40, "pin-placeholder", "refuses", "@000"),
        (f"gate.yml@{PIN}", "gate.yml@" + "b" * 40, "pin-behind", "changelog", "@bbb"),
        ("configs: configs", "config: configs", "unknown-input", "mean `configs`?", "config:"),
        ("      command:", "      seeds:", "missing-input", "needs the input `command`", "uses:"),
        ("/gate.yml@", "/gates.yml@", "unknown-action", "no `.github/workflows/gates.yml`", "@"),
        (
            "      pull-requests: write\n",
            "",
            "permission-missing",
            "`pull-requests: write`",
            "gate:",
        ),
        ("contents: read", "contents: write", "permission-too-wide", "contents: read", "contents:"),
        (
            "permissions: {}",
            "permissions: write-all",
            "permission-too-wide",
            "every step",
            "write-",
        ),
        (
            "secrets:\n      openai-api-key: ${{ secrets.OPENAI_API_KEY }}",
            "secrets: inherit",
            "secrets-inherit",
            "every secret",
            "inherit",
        ),
        (
            "openai-api-key:",
            "openai-key:",
            "unknown-secret",
            "mean `openai-api-key`?",
            "openai-key",
        ),
        ("${{ secrets.OPENAI_API_KEY }}", "abc", "key-not-secret", "not taken from", "openai-api-"),
        (
            "${{ secrets.OPENAI_API_KEY }}",
            "sk-proj-0123456789abcdef",
            "key-in-file",
            "Revoke it",
            "openai-api-key",
        ),
        (
            "permissions: {}",
            "permissions: {}\nenv:\n  KEY: ${{ secrets.OPENAI_API_KEY }}",
            "key-too-wide",
            "every step",
            "KEY:",
        ),
        ("  pull_request:", "  pull_request_target:", "dangerous-event", "strangers", "_target"),
        (
            "  pull_request:",
            "  pull_request:\n    paths: [src]",
            "filtered-check",
            "required check then waits",
            "paths:",
        ),
        ("configs/*.yaml", "confgis/*.yaml", "no-config", "matches no file", "configs:"),
        ("python evaluate.py", "python evalute.py", "command", "no file of the", "command:"),
        ("{output}", "{outptu}", "command", "outptu", "command:"),
        (
            "      configs:",
            "      runner: gpu\n      configs:",
            "runner-label",
            "is no JSON",
            "runner:",
        ),
        (
            "      configs:",
            "      runner: '\"ubuntu-24.4\"'\n      configs:",
            "runner-label",
            "mean `ubuntu-24.04`?",
            "runner:",
        ),
        (
            "      configs:",
            "      baseline: old.yaml\n      configs:",
            "no-baseline",
            "no baseline `old.yaml`",
            "uses:",
        ),
    ],
)
def test_each_rule_of_a_call_names_its_line(
    before: str, after: str, rule: str, says: str, at: str
) -> None:
    files = with_gate(before, after)
    problem = only(checked(files), rule)
    assert says in f"{problem.message} {problem.fix}"
    assert problem.line == line_of(files, at)


@pytest.mark.parametrize(
    ("before", "after", "rule", "at"),
    [
        ("      contents: read\n", "      contents: write\n", "roles-mixed", "actions/evaluate"),
        ("          persist-credentials: false\n", "", "persist-credentials", "checkout"),
        ("          fetch-depth: 0\n", "", "fetch-depth", "checkout"),
        ("ubuntu-24.04", "[self-hosted, gpu]", "fork-guard", "runs-on"),
        ("ubuntu-24.04", "ubuntu-24.4", "runner-label", "runs-on"),
        (f"checkout@{PIN}", "checkout@v7", "pin-not-a-commit", "checkout"),
        (
            "          command:",
            "          comand:",
            "unknown-input",
            "comand:",
        ),
        (
            "      - uses: actions/checkout",
            (
                f"      - uses: {OWN}/actions/ask@{PIN}\n        with: {{bundle: x}}\n"
                "      - uses: actions/checkout"
            ),
            "roles-mixed",
            "actions/ask",
        ),
        (
            "      - uses: actions/checkout",
            (
                f"      - uses: {OWN}/actions/comment@{PIN}\n        with: {{result: x}}\n"
                "      - uses: actions/checkout"
            ),
            "roles-mixed",
            "actions/comment",
        ),
        (
            "      - uses: actions/checkout",
            (
                f"      - run: uvx --from git+https://github.com/{OWN}@main mlactions doctor\n"
                "      - uses: actions/checkout"
            ),
            "pin-not-a-commit",
            "uvx",
        ),
    ],
)
def test_each_rule_of_a_job_names_its_line(before: str, after: str, rule: str, at: str) -> None:
    files = with_gate(before, after, JOB)
    assert only(checked(files), rule).line == line_of(files, at)


def test_a_guard_against_forks_is_enough() -> None:
    guarded = (
        "[self-hosted, gpu]\n    if: ${{ github.event.pull_request.head.repo.full_name =="
        " github.repository }}"
    )
    found = checked(with_gate("ubuntu-24.04", guarded, JOB))
    assert "fork-guard" not in {problem.rule for problem in found.problems}


@pytest.mark.parametrize(
    ("path", "text", "rule", "line"),
    [
        ("configs/baseline.yaml", "version: 1\nmodels: 3\n", "baseline-not-valid", 2),
        ("configs/baseline.yaml", BASELINE.replace("small", "gone"), "baseline-model", 3),
        ("configs/sweep.yaml", "a: [1\n", "sweep-not-valid", 2),
        (".github/workflows/x.yml", f"on: push\njobs: }}\n# {OWN}\n", "not-valid-yaml", 2),
    ],
)
def test_files_are_read_by_the_parsers_that_will_read_them(
    path: str, text: str, rule: str, line: int
) -> None:
    problem = only(checked({**FILES, path: text}), rule)
    assert (problem.file, problem.line) == (path, line)


def test_a_sweep_that_cannot_be_checked_is_no_silent_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hydra.errors", None)  # as where the extra is not installed
    text = "hydra:\n  sweeper:\n    params:\n      lr: choice(1,2)\n"
    problem = only(checked({**FILES, "configs/sweep.yaml": text}), "sweep-not-checked")
    assert problem.severity == "warn"


def test_an_older_python_than_the_project_asks_for_is_named() -> None:
    files = with_gate("      configs:", '      python-version: "3.10"\n      configs:')
    found = checked({**files, ".python-version": "3.12\n"})
    assert only(found, "python-version").line == line_of(files, "python-version")


def test_two_pins_are_named() -> None:
    other = GATE.replace(PIN, "b" * 40)
    found = checked({**FILES, ".github/workflows/b.yml": other, ".github/workflows/c.yml": GATE})
    assert only(found, "pins-differ").file == ".github/workflows/b.yml"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "on: push\n",
        "on: push\njobs: []\n",
        f"on: push\njobs:\n  a: {{uses: [1], with: 3}}\n  b: {{steps: 4}}\n  c: 5\n# {OWN}\n",
        f"jobs:\n  a:\n    steps: [{{uses: '{OWN}'}}, 7, {{run: 3}}]\n    permissions: 9\n",
        f"jobs:\n  a: {{uses: '{OWN}/../../../../etc/passwd@x', secrets: 4, runs-on: {{}}}}\n",
    ],
)
def test_odd_workflows_are_no_crash(text: str) -> None:
    checked({**FILES, ".github/workflows/gate.yml": text})


def doctor(folder: Path, *arguments: str, **more: str) -> tuple[int, str]:
    stream, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        environ = {"PATH": os.environ["PATH"], "COLUMNS": "120", **more}
        code = run(["doctor", f"--pin={PIN}", *arguments], Runner(environ, stream))
    finally:
        os.chdir(before)
    return code, stream.getvalue()


def test_exit_codes_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor(tmp_path)[0] == 2
    folder = repository(tmp_path / "here", {"a.txt": ""})
    assert doctor(folder)[0] == 0  # a warning: nothing is set up
    assert doctor(folder, "--fail-on=warn")[0] == 1
    broken = repository(tmp_path / "broken", with_gate("configs: configs", "config: configs"))
    capsys.readouterr()
    assert doctor(broken, "--json")[0] == 1
    document = json.loads(capsys.readouterr().out)
    assert document["status"] == "fail"
    assert {"unknown-input"} <= {problem["rule"] for problem in document["problems"]}
    code, said = doctor(broken)
    assert code == 1
    assert "Did you mean configs?" in said


def test_what_init_writes_is_right(tmp_path: Path) -> None:
    from tests.init_repositories import SHAPES

    for shape, files in SHAPES.items():
        folder = repository(tmp_path / shape, files)
        init(folder, "--yes")
        code, said = doctor(folder)
        assert code == 0, said


def test_a_link_that_leads_out_is_not_read(tmp_path: Path) -> None:
    outside = tmp_path / "outside.yml"
    outside.write_text("secret: sk-0123456789abcdef012345\n")
    folder = repository(tmp_path / "here", FILES)
    (folder / ".github/workflows/link.yml").symlink_to(outside)
    code, said = doctor(folder)
    assert code == 1
    assert "a link that leads out" in said
    assert "sk-0123" not in said


def test_names_that_are_no_text_or_speak_to_the_runner_are_shown_safely(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = repository(tmp_path, FILES)
    for name in (b"\xff.yml", b"a\n::error::owned.yml", b"\x1b[31mred.yml"):
        place = os.fsencode(folder / ".github/workflows") + b"/" + name
        Path(os.fsdecode(place)).write_text(f"jobs: }}\n# {OWN}\n")
    for arguments in ((), ("--json",)):
        code, said = doctor(folder, *arguments)
        assert code == 1, said
        assert "\n::error::owned" not in said
        assert "\x1b" not in said
    document = json.loads(capsys.readouterr().out)
    assert len(document["problems"]) == 3
    assert init(folder, "--dry-run")[0] == 0
    summary = tmp_path.with_suffix(".md")
    runner = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    code, said = doctor(folder, **runner)
    assert code == 1, said
    assert "\n::error::owned" not in said
    assert "to mend" in summary.read_text(encoding="utf-8")


def table_of_the_threat_model() -> dict[str, str]:
    """Return the role of each action by its name, as the documentation has it."""
    lines = (ROOT / "docs/threat-model.md").read_text().splitlines()
    rows = [re.fullmatch(r"\| (\w+) \((.*)\) \|.*", line) for line in lines]
    return {name: row[1] for row in rows if row for name in re.findall(r"`([\w/-]+)`", row[2])}


def documents_of(path: Path) -> Document:
    return parse(path.relative_to(ROOT).as_posix(), path.read_text())


def test_the_roles_are_those_of_the_threat_model() -> None:
    assert dict(ROLES) == table_of_the_threat_model()


@pytest.mark.parametrize("path", sorted(ROOT.glob("actions/**/action.yml")), ids=str)
def test_every_action_has_the_role_that_its_steps_give_it(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    document = documents_of(path)
    step = [step for _, step in document.steps()]
    measures = any(runs_user_code(item) for item in step)
    asks = any(item.uses == CODEX for item in step)
    writes = "token" in document.data.get("inputs", {})
    wanted = "measure" if measures else "ask" if asks else "write" if writes else "decide"
    assert role_of(name) == wanted


def test_the_workflows_that_run_code_are_known() -> None:
    paths = [
        path for path in ROOT.glob(".github/workflows/*.yml") if "workflow_call" in path.read_text()
    ]
    found = {path.name for path in paths if any(map(measures_job, documents_of(path).jobs))}
    assert found == CODE_WORKFLOWS


def steps(*lines: str, grants: str = "contents: read", on: str = "workflow_dispatch") -> str:
    """Return a workflow of one job."""
    body = "".join(f"      - {line}\n" for line in lines)
    return (
        f"on: {on}\npermissions: {{}}\njobs:\n  one:\n    runs-on: ubuntu-24.04\n"
        f"    permissions: {{{grants}}}\n    steps:\n{body}"
    )


def ours(name: str, given: str = "{}") -> str:
    return f"uses: {OWN}/{name}@{PIN}\n        with: {given}"


CODE = "uses: ./.github/actions/mine"
ASK = ours("actions/ask", "{bundle: x}")
PROPOSE = ours("actions/propose", "{task: backbone}")
CHECK = ours("actions/propose/check", "{bundle: x, sha256: y}")
PUBLISH = ours("actions/propose/publish", "{bundle: x, checked: y, sha256: z}")
WRITES = "contents: write, pull-requests: write"
CHECKOUT = f"uses: actions/checkout@{PIN}\n        with: {{persist-credentials: false}}"


@pytest.mark.parametrize(
    ("text", "says", "at"),
    [
        (steps("run: python train.py", PROPOSE), "holds the key", "actions/propose@"),
        (steps(CODE, ASK), "holds the key", "actions/ask@"),
        (steps(CODE, PROPOSE), "holds the key", "actions/propose@"),
        (steps(CHECK, PROPOSE), "holds the key", "actions/propose@"),
        (steps(CHECK, grants=WRITES), "may write: contents", "propose/check@"),
        (steps(CODE, PUBLISH, grants=WRITES), "writes beside", "propose/publish@"),
        (steps(PROPOSE, PUBLISH, grants=WRITES), "writes beside", "propose/publish@"),
        (steps(CHECKOUT, "run: make", PUBLISH, grants=WRITES), "writes beside", "publish@"),
        (steps(CHECKOUT, "run: make", ours("actions/comment")), "writes beside", "comment@"),
    ],
)
def test_each_role_has_a_job_of_its_own(text: str, says: str, at: str) -> None:
    files = {**FILES, ".github/workflows/gate.yml": text}
    problem = only(checked(files), "roles-mixed")
    assert says in problem.message
    assert problem.line == line_of(files, at)


@pytest.mark.parametrize("name", ["actions/propose", ".github/workflows/propose.yml"])
def test_what_writes_code_is_started_by_a_person_alone(name: str) -> None:
    if name.endswith(".yml"):
        text = f"on: [workflow_dispatch, issues]\njobs:\n  one:\n    uses: {OWN}/{name}@{PIN}\n"
    else:
        text = steps(PROPOSE, on="[workflow_dispatch, issues]")
    files = {**FILES, ".github/workflows/gate.yml": text}
    problem = only(checked(files), "dispatch-only")
    assert (problem.severity, problem.line) == ("fail", 1)
    fine = text.replace(", issues", "")
    found = checked({**FILES, ".github/workflows/gate.yml": fine}).problems
    assert "dispatch-only" not in {problem.rule for problem in found}


@pytest.mark.parametrize(
    ("uri", "rule", "severity"),
    [
        ("http://u:secretpw@mlflow.company.net", "password-in-file", "fail"),
        ("https://mlflow.company.net?token=secretpw", "password-in-file", "fail"),
        ("http://127.0.0.1:5000", "loopback-address", "warn"),
        ("http://localhost:5000", "loopback-address", "warn"),
    ],
)
def test_an_address_that_no_workflow_should_hold_is_named(
    uri: str, rule: str, severity: str
) -> None:
    text = (
        f"on: push\njobs:\n  one:\n    uses: {OWN}/.github/workflows/drift.yml@{PIN}\n    with:\n"
    )
    files = {**FILES, ".github/workflows/gate.yml": f"{text}      tracking-uri: {uri}\n"}
    problem = only(checked(files), rule)
    assert (problem.severity, problem.line) == (severity, 6)
    assert "secretpw" not in f"{problem.message} {problem.fix}"


def test_a_password_in_a_command_is_named() -> None:
    files = with_gate("python evaluate.py", "curl https://u:secretpw@h/x; python evaluate.py")
    problem = only(checked(files), "password-in-file")
    assert problem.line == line_of(files, "command:")
    fine = with_gate("python evaluate.py", "curl https://u:$TOKEN@h/x; python evaluate.py")
    assert "password-in-file" not in {problem.rule for problem in checked(fine).problems}


def test_the_set_up_check_alone_checks_no_model(tmp_path: Path) -> None:
    """What init writes where nothing evaluates: the way on is said, and it is no circle."""
    folder = repository(tmp_path, {"train.py": "parser.parse_args()\n"})
    init(folder, "--yes")
    (folder / ".github/workflows/audit.yml").unlink()
    code, said = doctor(folder)
    assert code == 0
    assert "1 workflow of this library looked at" in said
    assert ".github/workflows/doctor.yml" in said
    assert "--command" in said
    assert "No workflow uses this library" not in said


def test_a_long_line_is_read_in_a_moment() -> None:
    """Read in steps that grow with the line's length, and not with its square."""
    text = f"on: push\n# {'a.' * 200_000}\n# {'a://' * 100_000}\n"
    text += f"jobs: {{}}\n# git+https://github.com/{OWN}@{PIN}\n"
    found = checked({**FILES, ".github/workflows/x.yml": text})
    assert "password-in-file" not in {problem.rule for problem in found.problems}
