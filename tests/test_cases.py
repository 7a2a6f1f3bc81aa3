"""Golden cases: a whole command on real files, and everything it writes.

`tests/cases/<word>/<case>/` holds `command` (one argument a line), `files/` (the folder it runs
in), `base/` (committed to git before, where rules come from a base) and `expected/`; for a word
that talks to GitHub also what `case_github.py` describes, for one that reads a Hub `hub.json`.
`make accept` writes `expected/` anew: read the diff.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.bundle import seal
from mlactions.runner import Runner
from tests.case_github import borrow, github, left_behind, variables
from tests.case_hub import hub_of, with_hub

CASES = Path(__file__).parent / "cases"
FOUND = sorted(path.parent for path in CASES.glob("*/*/command"))
NOT_GOLDEN = {"manifest.json", "report.html"}
"""The one follows from the rest, the other has tests of its own."""

ACCEPT = os.environ.get("MLACTIONS_ACCEPT") == "1"


def name(case: Path) -> str:
    """Return how a test run lists a case."""
    return case.relative_to(CASES).as_posix()


@pytest.mark.parametrize("case", FOUND, ids=name)
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    prepare(case, folder)
    monkeypatch.chdir(folder)

    written = outcome(case, folder)

    if ACCEPT:
        accept(case / "expected", written)
    assert written == golden(case / "expected")


def prepare(case: Path, folder: Path) -> None:
    """Lay the case's files into a folder, committed where the case has a base."""
    folder.mkdir()
    if (case / "base").is_dir():
        shutil.copytree(case / "base", folder, dirs_exist_ok=True)
        commit(folder)
    if (case / "files").is_dir():
        shutil.copytree(case / "files", folder, dirs_exist_ok=True)
    borrow(case, CASES, folder)
    for evaluation in folder.rglob("evaluation.json"):
        seal(evaluation.parent, "evaluate")


def commit(folder: Path) -> None:
    """Commit a folder; the same content always gets the same SHA."""
    person = {"NAME": "someone", "EMAIL": "someone@example.org", "DATE": "2026-11-01T12:00:00Z"}
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in person.items()
        },
    }
    for arguments in ("init -q -b main", "add -A", "commit -q -m base"):
        subprocess.run(["git", *arguments.split()], cwd=folder, env=environ, check=True)


def outcome(case: Path, folder: Path) -> dict[str, str]:
    """Run the command as GitHub does; return exit code, what it said and every file it changed."""
    stream = io.StringIO()
    arguments = (case / "command").read_text(encoding="utf-8").splitlines()
    environ = {"GITHUB_ACTIONS": "true", "RUNNER_TEMP": str(folder / "temp")}
    with github(case, folder) as hub, hub_of(case) as models:
        before = contents(folder)
        environ |= variables(case, folder, hub)
        environ |= {} if models is None else {"HF_ENDPOINT": models.url}
        code = run([case.parent.name, *arguments], Runner(environ, stream))
        changed = {
            path: text
            for path, text in contents(folder).items()
            if before.get(path) != text and Path(path).name not in NOT_GOLDEN
        }
        said = stream.getvalue().replace(str(folder.resolve()), "/here")
        written = with_hub(models, {"exit": f"{code}\n", "said.txt": said, **changed})
        return left_behind(hub, written)


def contents(folder: Path) -> dict[str, str]:
    """Return every file below a folder but git's, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def golden(expected: Path) -> dict[str, str]:
    """Return what a case should write."""
    return contents(expected) if expected.is_dir() else {}


def accept(expected: Path, written: dict[str, str]) -> None:
    """Make what was written the expectation."""
    shutil.rmtree(expected, ignore_errors=True)
    for path, text in written.items():
        file = expected / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def test_the_cases_were_found() -> None:
    assert len(FOUND) >= 10
