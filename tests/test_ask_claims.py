"""Claims, one by one: facts, models, metrics, files, lines."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.ask.answer import Answer, Finding
from mlactions.ask.claims import CheckedFinding, Checker, as_document
from mlactions.ask.evidence import Evidence
from mlactions.ask.repository import NoSourceError, Source, open_repository
from mlactions.errors import UserError
from tests.ask_cases import ACCURACY, FACTS, Project, git, make_project, write

GOOD = Finding("digits_cnn", "test_accuracy", (ACCURACY,), "src/train.py", 2, "It fell.", "low")
EVIDENCE = Evidence(
    outcomes=(),
    facts=tuple(FACTS),
    head={"digits_cnn": {"loss": [0.125, 0.25]}},
    models=frozenset({"digits_cnn", "crashed_vit"}),
    seeds=frozenset({0, 1}),
)


class TwoLines:
    """A repository with one file of two lines."""

    def read(self, path: str) -> Source:
        """Return that file."""
        if path != "src/train.py":
            raise NoSourceError("is not a file of the repository")
        return Source(path, "rate = 0.5\n  epochs = 30\n")


def check(finding: Finding) -> CheckedFinding:
    return Checker(EVIDENCE, TwoLines()).check(Answer("", (finding,), ())).findings[0]


def test_a_finding_that_holds() -> None:
    checked = check(GOOD)
    assert (checked.struck, checked.checked, checked.held) == ((), 4, 4)
    assert checked.quote == "epochs = 30"


@pytest.mark.parametrize(
    ("changes", "struck"),
    [
        ({"facts": ("compare.made.up",)}, "no fact has the id 'compare.made.up'"),
        ({"facts": (ACCURACY, "x")}, "no fact has the id 'x'"),
        ({"facts": ()}, "it cites no fact"),
        ({"model": "resnet"}, "there is no model 'resnet'"),
        ({"metric": "f1"}, "there is no metric 'f1' of 'digits_cnn'"),
        ({"file": "src/gone.py"}, "'src/gone.py' is not a file of the repository"),
        ({"line": 3}, "'src/train.py' has 2 lines, not 3"),
        ({"line": -1}, "'src/train.py' has 2 lines, not -1"),
        ({"file": "", "line": 2}, "line 2 of no file"),
    ],
)
def test_a_claim_that_does_not_hold_is_struck(changes: dict[str, object], struck: str) -> None:
    checked = check(replace(GOOD, **changes))  # type: ignore[arg-type]  # fields by name
    assert checked.struck == (struck,)
    assert checked.held == checked.checked - 1
    assert checked.quote == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ""},
        {"metric": ""},
        {"file": "", "line": 0},
        {"line": 0},
        {"metric": "loss"},
        {"model": "crashed_vit"},
    ],
)
def test_what_is_left_open_is_no_claim(changes: dict[str, object]) -> None:
    assert check(replace(GOOD, **changes)).stands  # type: ignore[arg-type]  # fields by name


def test_numbers_in_prose_are_checked_and_do_not_strike() -> None:
    text = "The rate is 0.5, loss 0.19 on average, accuracy 0.95, not 0.77, at seed 7."
    checked = check(replace(GOOD, explanation=text))
    assert checked.stands
    assert checked.numbers_unverified == ("seed 7", "0.77")
    assert (checked.checked, checked.held) == (4 + 5, 4 + 3)


def test_digits_in_cited_ids_are_no_numbers() -> None:
    fact = {**FACTS[0], "id": "compare.digits_cnn.slice/class=88.change"}
    evidence = replace(EVIDENCE, facts=(fact,))
    answer = Answer(f"See {fact['id']}.", (), ())
    assert Checker(evidence, TwoLines()).check(answer).summary_unverified == ()


def test_a_number_in_a_file_that_is_not_cited_is_unverified() -> None:
    answer = Answer("There were 30 epochs.", (replace(GOOD, file="", line=0),), ())
    assert Checker(EVIDENCE, TwoLines()).check(answer).summary_unverified == ("30",)
    cited = Answer("There were 30 epochs.", (GOOD,), ())
    assert Checker(EVIDENCE, TwoLines()).check(cited).summary_unverified == ()


def test_proposed_numbers_are_marked_and_not_counted() -> None:
    checked = Checker(EVIDENCE, TwoLines()).check(Answer("", (), ("Try 0.0005.",)))
    assert checked.steps_unverified == ("0.0005",)
    assert (checked.checked, checked.held) == (0, 0)


def test_the_document_holds_the_texts_of_cited_facts() -> None:
    document = as_document(Checker(EVIDENCE, TwoLines()).check(Answer("", (GOOD,), ())), EVIDENCE)
    assert document["facts"] == {ACCURACY: FACTS[0]["text"]}
    assert document["claims"] == {"checked": 4, "held": 4}


names = st.text(max_size=40)
findings = st.builds(
    Finding,
    names,
    names,
    st.lists(names | st.just(ACCURACY), max_size=3).map(tuple),
    names | st.just("src/train.py"),
    st.integers(),
    st.text(max_size=200),
    st.sampled_from(["low", "medium", "high"]),
)


@given(st.lists(findings, max_size=4), st.text(max_size=100))
def test_no_answer_breaks_the_check_and_the_counts_add_up(
    found: list[Finding], summary: str
) -> None:
    checked = Checker(EVIDENCE, TwoLines()).check(Answer(summary, tuple(found), ()))
    assert 0 <= checked.held <= checked.checked
    wrong = sum(len(f.struck) + len(f.numbers_unverified) for f in checked.findings)
    assert checked.held == checked.checked - wrong - len(checked.summary_unverified)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a repository with two commits."""
    return make_project(tmp_path)


def commit_oddities(root: Path) -> None:
    """Commit a link out, a link in, a submodule, a binary, a file with a strange name."""
    (root / "out.py").symlink_to("/etc/passwd")
    (root / "in.py").symlink_to("src/train.py")
    (root / "linked").symlink_to("src")
    write(root / "*.py", "glob\n")
    write(root / "no-end.py", "a\nb")
    write(root / "empty.py", "")
    (root / "weights.bin").write_bytes(b"\0\1")
    git(root, "add", "-A")
    git(root, "update-index", "--add", "--cacheinfo", "160000", "1" * 40, "module")
    git(root, "commit", "-qm", "Oddities")


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("src/train.py", 2),
        ("./src/train.py", 2),
        ("ROOT/src/train.py", 2),
        ("*.py", 1),
        ("no-end.py", 2),
        ("empty.py", 0),
    ],
)
def test_a_file_of_the_repository(project: Project, path: str, lines: int, dirty: bool) -> None:
    commit_oddities(project.repository)
    git(project.repository, "checkout", "-q", "--force", "HEAD")
    if dirty:
        write(project.repository / "new.py", "x\n")
    repository = open_repository(project.repository)
    assert (repository.commit == "") is dirty or not (project.repository / "module").exists()
    found = repository.read(path.replace("ROOT", str(repository.root)))
    assert found.lines == lines


@pytest.mark.parametrize("dirty", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        "src",
        "src/missing.py",
        "../outside.py",
        "src/../../outside.py",
        "/etc/passwd",
        "out.py",
        "in.py",
        "linked/train.py",
        "module",
        "weights.bin",
        ".git/config",
        ".GIT/HEAD",
        "src/.git",
        "src/*.py",
        ":(top)src/train.py",
        "a\0b",
        ".",
        "-p",
        "x/" * 2000,
        "y" * 300,
    ],
)
def test_everything_else_is_not(project: Project, path: str, dirty: bool) -> None:
    commit_oddities(project.repository)
    if dirty:
        write(project.repository / "new.py", "x\n")
    repository = open_repository(project.repository)
    repository = replace(repository, commit="" if dirty else repository.head)
    with pytest.raises(NoSourceError):
        repository.read(path)


def test_in_a_dirty_work_tree_the_files_themselves_count(project: Project) -> None:
    write(project.repository / "src/train.py", "one\ntwo\nthree\n")
    write(project.repository / "src/new.py", "x\n")
    repository = open_repository(project.repository)
    assert repository.read("src/train.py").lines == 3
    assert repository.read("src/new.py").lines == 1


def test_a_clean_work_tree_is_read_from_its_commit(project: Project) -> None:
    repository = open_repository(project.repository)
    write(project.repository / "src/train.py", "one\n")
    assert repository.read("src/train.py").lines == 2


def test_a_path_may_start_at_the_folder_that_was_named(project: Project) -> None:
    repository = open_repository(project.repository / "src")
    assert repository.read("train.py").path == "src/train.py"
    assert repository.read("src/train.py").path == "src/train.py"


def test_a_file_too_large_to_check_is_said(project: Project) -> None:
    with (project.repository / "big.txt").open("wb") as stream:
        os.truncate(stream.fileno(), 9 * 1024 * 1024)
    with pytest.raises(NoSourceError, match="too large"):
        open_repository(project.repository).read("big.txt")


def test_a_folder_without_commits_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(UserError, match="no repository"):
        open_repository(tmp_path)
    with pytest.raises(UserError, match="no repository"):
        open_repository(tmp_path / "missing")
