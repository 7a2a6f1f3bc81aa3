"""Which folders `ask` writes to: its own, and never a user's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.ask.prepare import _make_readable
from mlactions.bundle import MANIFEST, open_bundle, seal
from mlactions.runner import Runner
from tests.ask_cases import Project, Ran, ask, make_project, prepare, verify, write

BASELINE = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {values: [0.98, 0.97], direction: higher, tolerance: {absolute: 0.01}}
"""
NO_CODEX = {"PATH": "/usr/bin:/bin", "GITHUB_ACTIONS": ""}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a pull request whose comparison failed."""
    return make_project(tmp_path)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return mode and content of everything below a folder."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def ask_run(project: Project, out: Path) -> Ran:
    names = ("--bundle", str(project.bundle), "--repository", str(project.repository))
    return ask(out.parent / "step", "run", *names, "--out", str(out), **NO_CODEX)


def foreign(folder: Path, kind: str) -> Path:
    """Make a user's folder that holds what ours does, and more or something else."""
    held = {
        "repository": ".git/HEAD",
        "bundle": "bundle/weights.pt",
        "facts": "facts/truth.csv",
        "home": "home/alice/thesis.tex",
        "context": "context.json",
        "answer": "checked-answer.json",
        "report": "report.md",
    }
    write(folder / held[kind], "{}").chmod(0o600)
    if kind == "report":
        write(folder / "result.json", '{"word": "compare"}')
    return folder


KINDS = ["repository", "bundle", "facts", "home", "context", "answer", "report"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["prepare", "run"])
def test_a_users_folder_is_refused_and_stays(project: Project, command: str, kind: str) -> None:
    out = foreign(project.out.parent / "theirs", kind)
    before = state(out)
    ran = prepare(project, "--out", str(out)) if command == "prepare" else ask_run(project, out)
    assert ran.code == 2
    assert "which is not ours. Name an empty folder." in ran.said
    assert state(out) == before


@pytest.mark.parametrize("kind", ["bundle", "context"])
def test_verify_leaves_a_users_folder_too(project: Project, kind: str) -> None:
    out = foreign(project.out.parent / "theirs", kind)
    write(out / "bundle/report.md", "theirs")
    before = state(out)
    assert ask(project.out.parent / "step", "verify", "--out", str(out)).code == 2
    assert state(out) == before


def test_a_folder_that_holds_the_repository_is_refused(project: Project) -> None:
    parent = project.repository.parent
    for path in (project.bundle, project.repository):
        before = state(path)
        ran = prepare(project, "--out", str(parent))
        assert ran.code == 2
        assert "`--out` holds the repository that is asked about." in ran.said
        assert state(path) == before
    assert ask_run(project, parent).code == 2
    assert ask_run(project, project.repository).code == 2


def test_nothing_is_written_through_a_link(project: Project) -> None:
    theirs = write(project.out.parent / "real/config.toml", "theirs")
    write(project.workspace.context, '{"word": "ask"}')
    project.workspace.home.symlink_to(theirs.parent)
    assert prepare(project).code == 0
    assert theirs.read_text() == "theirs"
    assert not project.workspace.home.is_symlink()


def test_only_what_was_written_is_made_readable(project: Project) -> None:
    assert prepare(project).code == 0
    secret = write(project.out / "home/auth.json", "token")
    secret.chmod(0o600)
    (project.out / "home/link").symlink_to(secret)
    assert prepare(project).code == 0
    assert secret.stat().st_mode & 0o777 == 0o600


def test_no_link_is_made_readable(project: Project) -> None:
    assert prepare(project).code == 0
    secret = write(project.out.parent / "secret", "token")
    secret.chmod(0o600)
    (project.workspace.facts / "link").symlink_to(secret)
    _make_readable(project.workspace)
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("killed", [False, True])
def test_an_earlier_question_and_answer_make_room(project: Project, killed: bool) -> None:
    prepare(project, "--has-key", "false")
    verify(project, "skipped")
    write(project.workspace.bundle / "suggested.patch", "stale")
    if killed:
        (project.workspace.bundle / MANIFEST).unlink()
        write(project.workspace.context, '{"word": "ask"}')
    assert prepare(project, "--has-key", "false").code == 0
    assert not project.workspace.bundle.exists()
    verify(project, "skipped")
    verify(project, "skipped")
    assert {entry.path for entry in open_bundle(project.workspace.bundle, word="ask").entries} == {
        "checked-answer.json",
        "report.md",
    }


def test_a_question_that_was_begun_is_not_prepared(project: Project) -> None:
    write(project.workspace.context, '{"word": "ask"}')
    _, checked = verify(project, "success")
    assert (checked["status"], checked["reason"]) == ("not-called", "not-prepared")


def test_an_earlier_answer_makes_room(project: Project) -> None:
    out = project.out.parent / "answer"
    assert ask_run(project, out).code == 0
    write(out / "suggested.patch", "stale")
    assert ask_run(project, out).code == 0
    assert {path.name for path in out.iterdir()} == {
        "checked-answer.json",
        "report.md",
        MANIFEST,
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a baseline and metrics that fail it."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path / "repository")
    write(Path("baseline.yaml"), BASELINE)
    write(Path("cnn.json"), json.dumps({"accuracy": [0.9, 0.9]}))
    return Path.cwd()


def compare(*more: str) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--baseline", "baseline.yaml", "--metrics", "cnn.json", "--out", "out", *more]
    return run(["compare", *given], Runner(NO_CODEX, stream)), stream.getvalue()


def test_the_answer_of_compare_lies_in_its_folder(here: Path) -> None:
    write(here / "out-answer/notes.txt", "mine").chmod(0o600)
    before = state(here / "out-answer")
    code, said = compare("--ask")
    assert code == 1
    assert f"answer: {here / 'out/answer/report.md'}" in " ".join(said.split())
    assert state(here / "out-answer") == before
    listed = {entry.path for entry in open_bundle(here / "out", word="compare").entries}
    assert not any("answer" in name for name in listed), "another manifest holds the answer"
    assert open_bundle(here / "out/answer", word="ask").entries
    assert compare("--ask")[0] == 1
    assert compare()[0] == 1
    assert not (here / "out/answer").exists(), "an answer about another result"


def test_a_users_folder_in_the_results_is_refused(here: Path) -> None:
    assert compare()[0] == 1
    write(here / "out/answer/notes.txt", "mine")
    before = state(here / "out")
    code, said = compare("--ask")
    assert code == 2
    assert "`out` holds 'notes.txt', which is not ours." in said
    assert state(here / "out") == before


def test_an_answer_in_a_users_folder_stays(here: Path) -> None:
    write(here / "out/mine.txt", "mine")
    write(here / "out/answer/checked-answer.json", "{}")
    seal(here / "out/answer", "ask")
    before = state(here / "out")
    assert compare("--ask")[0] == 2
    assert state(here / "out") == before
