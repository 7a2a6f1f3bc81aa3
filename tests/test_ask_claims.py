"""Claims, one by one: facts, models, metrics, files, lines."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.ask.answer import Answer, Finding
from mlactions.ask.claims import MAX_PLACES, CheckedFinding, Checker, as_document
from mlactions.ask.evidence import Evidence
from mlactions.ask.identifiers import identifiers_in, identifiers_of
from mlactions.ask.repository import NoSourceError, Source, open_repository
from mlactions.ask.scope import Quotable
from mlactions.errors import UserError
from tests.ask_cases import ACCURACY, FACTS, Project, git, make_project, write

GOOD = Finding("digits_cnn", "test_accuracy", (ACCURACY,), "src/train.py", 2, "It fell.", "low")
LOSS = "compare.digits_vit.test_loss.change"
CRASHED = "evaluate.crashed_vit.head.seed-1.outcome"
OTHERS = (
    {"id": LOSS, "text": "changed by 0.2", "value": 0.2, "model": "digits_vit"}
    | {"metric": "test_loss"},
    {"id": CRASHED, "text": "it crashed", "value": "crashed", "model": "crashed_vit"},
    {"id": "compare.verdict", "text": "fail", "value": "fail"},
)
EVIDENCE = Evidence(
    outcomes=(),
    facts=(*FACTS, *OTHERS),
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
        ({"metric": "", "facts": (LOSS,)}, "no fact it cites is about 'digits_cnn'"),
        ({"model": "digits_vit", "metric": ""}, "no fact it cites is about 'digits_vit'"),
        ({"model": "crashed_vit"}, "no fact it cites is about 'crashed_vit'"),
        ({"model": "", "facts": (LOSS,)}, "no fact it cites is about 'test_accuracy'"),
        ({"metric": "", "facts": ("compare.verdict",)}, "no fact it cites is about 'digits_cnn'"),
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
        {"model": "crashed_vit", "facts": (CRASHED,)},
        {"model": "crashed_vit", "facts": (CRASHED, ACCURACY)},
        {"model": "", "metric": "", "facts": ("compare.verdict",)},
    ],
)
def test_what_is_left_open_is_no_claim(changes: dict[str, object]) -> None:
    assert check(replace(GOOD, **changes)).stands  # type: ignore[arg-type]  # fields by name


def test_a_fact_of_another_metric_of_the_model_is_none_of_this_one() -> None:
    other = {**FACTS[0], "id": "compare.digits_cnn.loss.change", "metric": "loss"}
    checker = Checker(replace(EVIDENCE, facts=(*FACTS, other)), TwoLines())
    checked = checker.check(Answer("", (replace(GOOD, metric="loss"),), ())).findings[0]
    assert checked.struck == ("no fact it cites is about 'loss' of 'digits_cnn'",)
    assert (checked.checked, checked.held) == (4, 3)


def test_a_fact_that_is_cited_often_counts_once() -> None:
    checked = check(replace(GOOD, facts=(ACCURACY,) * 50))
    assert (checked.checked, checked.held) == (4, 4)
    assert checked.finding.facts == (ACCURACY,)


def test_numbers_in_prose_are_checked_and_do_not_strike() -> None:
    text = "The rate is 0.5, accuracy fell by 3.2 % to 0.95, not 0.77, at seed 7."
    checked = check(replace(GOOD, explanation=text))
    assert checked.stands
    assert checked.numbers_unverified == ("seed 7", "0.77")
    assert (checked.checked, checked.held) == (4 + 5, 4 + 3)


def test_only_the_metric_that_is_named_may_be_spoken_of() -> None:
    text = "It is 0.19 on average, 0.125 at seed 0."
    accuracy = check(replace(GOOD, explanation=text))
    assert accuracy.numbers_unverified == ("0.19", "0.125")
    assert check(replace(GOOD, explanation=text, metric="loss")).numbers_unverified == ()


def test_means_are_compared_and_seeds_one_by_one() -> None:
    sides = {"head": {"digits_cnn": {"loss": [0.5, 0.7]}}}
    sides |= {"base": {"digits_cnn": {"loss": [0.125, 0.2]}}}
    checker = Checker(replace(EVIDENCE, **sides), TwoLines())  # type: ignore[arg-type]
    text = "Mean loss rose by 0.4375 to 0.6, at seed 0 by 0.375; 0.575 is of two seeds."
    finding = replace(GOOD, metric="loss", explanation=text)
    assert checker.check(Answer("", (finding,), ())).findings[0].numbers_unverified == ("0.575",)


def test_a_number_of_a_fact_s_text_keeps_its_unit() -> None:
    late = {"id": "evaluate.slow.outcome", "text": "slow timed out after 600 s at 95 % of memory"}
    bounds = {**FACTS[0], "id": "compare.digits_cnn.bounds", "text": "95 % bounds: 0.02 to 0.04"}
    evidence = replace(EVIDENCE, facts=(late, bounds))

    def numbers(fact: str, text: str) -> tuple[str, ...]:
        finding = Finding("", "", (fact,), "", 0, text, "low")
        checked = Checker(evidence, TwoLines()).check(Answer("", (finding,), ()))
        return checked.findings[0].numbers_unverified

    text = "After 600 s, or 10 min, at 95 %; not 600 ms or 600 MB."
    assert numbers("evaluate.slow.outcome", text) == ("600", "600")
    assert numbers("compare.digits_cnn.bounds", "0.02 to 0.04 at 94.5 %") == ("94.5 %",)


def test_a_struck_finding_vouches_for_nothing() -> None:
    summary = "Accuracy fell to 0.95 with a rate of 0.5, see line 2."
    held = Checker(EVIDENCE, TwoLines()).check(Answer(summary, (GOOD,), (summary,)))
    assert (held.summary_unverified, held.steps_unverified) == ((), ())
    invented = replace(GOOD, facts=(ACCURACY, "compare.invented"))
    struck = Checker(EVIDENCE, TwoLines()).check(Answer(summary, (invented,), (summary,)))
    assert struck.summary_unverified == ("0.95", "0.5", "line 2")
    assert struck.steps_unverified == struck.summary_unverified


def test_places_in_prose_are_looked_up() -> None:
    text = "See src/train.py:2, src/train.py:3, src/none.py:4242 and ../x.py:1."
    checked = check(replace(GOOD, explanation=text))
    assert checked.stands
    assert checked.numbers_unverified == ("src/train.py:3", "src/none.py:4242", "../x.py:1")
    assert (checked.checked, checked.held) == (4 + 4, 4 + 1)
    summary = Checker(EVIDENCE, TwoLines()).check(Answer("see src/none.py:7", (), ()))
    assert summary.summary_unverified == ("src/none.py:7",)
    many = " ".join(["src/train.py:1"] * (MAX_PLACES + 2))
    assert len(check(replace(GOOD, explanation=many)).numbers_unverified) == 2


def test_only_lines_near_the_one_that_is_named_are_quoted() -> None:
    class Long:
        def read(self, path: str) -> Source:
            return Source(path, "\n".join(f"x = {number}.5" for number in range(100, 200)))

    def numbers(line: int, text: str) -> tuple[str, ...]:
        finding = replace(GOOD, line=line, explanation=text)
        answer = Answer("", (finding,), ())
        return Checker(EVIDENCE, Long()).check(answer).findings[0].numbers_unverified

    assert numbers(31, "120.5 to 140.5, not 119.5 or 141.5") == ("119.5", "141.5")
    assert numbers(1, "100.5 and 110.5, not 111.5") == ("111.5",)
    assert numbers(0, "100.5") == ("100.5",)


GONE = "\n".join(["-gone = 1"] * 20)
PATCH = f"""\
diff --git a/src/train.py b/src/train.py
--- a/src/train.py
+++ b/src/train.py
@@ -1,23 +1,3 @@
 epochs = 77
{GONE}
-rate = 0.0123
+rate = 0.5
@@ -60 +60 @@ def far():
-size = 999
+size = 998
--- a/src/other.py
+++ b/src/other.py
@@ -1 +1 @@
-size = 888
+size = 887
"""


def test_of_the_diff_the_lines_there_are_quoted() -> None:
    quotable = Quotable(patch=PATCH)
    finding = replace(GOOD, explanation="From 0.0123, with 77, not 999, 998, 888 or 887.")
    found = Checker(EVIDENCE, TwoLines(), quotable).check(Answer("", (finding,), ())).findings[0]
    assert found.numbers_unverified == ("999", "998", "888", "887")


def test_of_logs_and_papers_those_that_it_is_about_are_quoted() -> None:
    quotable = Quotable(
        logs=(("crashed_vit", "got 4848"), ("digits_vit", "got 5959")), papers=("opset 1717",)
    )
    text = "The log has 4848, not 5959; opset 1717."
    finding = replace(GOOD, model="crashed_vit", facts=(CRASHED,), explanation=text)

    def numbers(finding: Finding, evidence: Evidence = EVIDENCE) -> tuple[str, ...]:
        checker = Checker(evidence, TwoLines(), quotable)
        return checker.check(Answer("", (finding,), ())).findings[0].numbers_unverified

    assert numbers(finding) == ("5959", "1717")
    assert numbers(replace(finding, model="")) == ("5959", "1717")
    exported = {"id": "export.failure.class", "text": "it failed", "data": {"tail": ["at 606"]}}
    about = replace(finding, model="", metric="", facts=("export.failure.class",))
    about = replace(about, explanation=f"{text} 606 of 607.")
    evidence = replace(EVIDENCE, facts=(*EVIDENCE.facts, exported))
    assert numbers(about, evidence) == ("4848", "5959", "607")


def test_digits_in_cited_ids_are_no_numbers() -> None:
    fact = {**FACTS[0], "id": "compare.digits_cnn.slice/class=88.change"}
    longer = {**fact, "id": f"{fact['id']}.77"}
    evidence = replace(EVIDENCE, facts=(fact, longer))
    answer = Answer(f"See {longer['id']} and {fact['id']}.", (), ())
    assert Checker(evidence, TwoLines()).check(answer).summary_unverified == ()
    named = {**fact, "model": "vit_b_4096", "metric": "recall@500"}
    checker = Checker(replace(EVIDENCE, facts=(named,)), TwoLines())
    answer = Answer("recall@500 of vit_b_4096 is recall_501.", (), ())
    assert checker.check(answer).summary_unverified == ("501",)


def test_a_number_that_somebody_took_for_a_name_stays_a_number() -> None:
    fact = {**FACTS[0], "model": "0.93", "metric": "93"}
    checker = Checker(replace(EVIDENCE, facts=(fact,)), TwoLines())
    assert checker.check(Answer("0.93, or 93 %", (), ())).summary_unverified == ("0.93", "93 %")


def test_a_number_in_a_file_that_is_not_cited_is_unverified() -> None:
    answer = Answer("There were 30 epochs.", (replace(GOOD, file="", line=0),), ())
    assert Checker(EVIDENCE, TwoLines()).check(answer).summary_unverified == ("30",)
    cited = Answer("There were 30 epochs.", (GOOD,), ())
    assert Checker(EVIDENCE, TwoLines()).check(cited).summary_unverified == ()


def test_proposed_numbers_are_marked_and_not_counted() -> None:
    checked = Checker(EVIDENCE, TwoLines()).check(Answer("", (), ("Try 0.0005.",)))
    assert checked.steps_unverified == ("0.0005",)
    assert (checked.checked, checked.held) == (0, 0)


def test_the_line_is_quoted_as_an_editor_counts_it() -> None:
    class Odd:
        def read(self, path: str) -> Source:
            return Source(path, "one\n\x0ctw\u200bo\r\nthree\u2028\x1b[31mfour\n")

    def quote(line: int) -> str:
        answer = Answer("", (replace(GOOD, line=line),), ())
        return Checker(EVIDENCE, Odd()).check(answer).findings[0].quote

    assert [quote(line) for line in (1, 2, 3, 4)] == ["one", "two", "three four", ""]


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


KNOWN, COMMIT, INVENTED, SHORT = "a1" * 16, "c0ffee12", "deadbeef" * 4, "0badc0de"


def test_identifiers_that_nobody_knows_are_marked_and_counted_in_all_prose() -> None:
    finding = replace(GOOD, explanation=f"Run {INVENTED} fell, see {SHORT}\u2026 and {KNOWN}.")
    summary = f"The best is run_{KNOWN[:8]} of {COMMIT}, not **{INVENTED.upper()}**."
    answer = Answer(summary, (finding,), (f"Repeat {SHORT}.", "Delete nothing."))
    known = {KNOWN: True, KNOWN[:8]: True, COMMIT: True, INVENTED: False, SHORT: False}
    assert identifiers_of(answer) == tuple(sorted(known))
    found = Checker(EVIDENCE, TwoLines(), identifiers=known).check(answer)
    assert found.summary_unverified == (INVENTED.upper(),)
    assert found.findings[0].numbers_unverified == (INVENTED, SHORT)
    assert found.steps_unverified == (SHORT,)
    assert found.claims == {"checked": 4 + 3 + 3 + 1, "held": 4 + 1 + 2}


def test_identifiers_are_left_alone_where_no_word_looks_them_up() -> None:
    found = Checker(EVIDENCE, TwoLines()).check(Answer(f"Run {INVENTED}.", (), ()))
    assert found.claims == {"checked": 0, "held": 0}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"run {INVENTED}", (INVENTED,)),
        (f"`{SHORT}`,", (SHORT,)),
        ("12345678 of 123456789012", ()),
        ("1234567e10 and decade, facade", ()),
        ("0badc0d", ("0badc0d",)),
        ("defaced, 0badc0 and 1e99999", ()),
        ("0badc0dex", ()),
    ],
)
def test_what_counts_as_an_identifier(text: str, found: tuple[str, ...]) -> None:
    assert identifiers_in(text) == found
