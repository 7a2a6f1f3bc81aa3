"""A word that wants something proposed: asked for, checked by that word, counted, shown, kept."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mlactions.ask import form, prompt, proposal
from mlactions.ask.answer import NoAnswerError, parse_answer
from mlactions.ask.local import Call, ask_locally
from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import Repository
from mlactions.bundle import open_bundle
from mlactions.codex import parse_endpoint
from mlactions.comment.material import answer_blocks
from mlactions.markdown import render
from mlactions.report import Block, Paragraph, Report, Untrusted
from mlactions.runner import Runner
from mlactions.schema import resource
from mlactions.settings import Status
from tests.ask_cases import (
    ANSWER,
    Project,
    Ran,
    call_codex,
    codex_path,
    make_bundle,
    make_project,
    prepare,
    verify,
    write,
)
from tests.fakes.model import FakeModel, runs, says
from tests.fakes.strict_schema import strict_schema_fault

WORD, ID = "trial", "trial.lr.best"
FACT = {"id": ID, "text": "the best learning rate is 0.01", "value": 0.01}
FORM = {
    "required": ["proposal"],
    "properties": {"proposal": {"type": "array", "items": {"type": "number"}}},
}
SUMMARY = {"summary": "It fell.", "findings": [], "next_steps": []}
READ = runs("cat facts.json trial/rates.json")
FORMS = (path.parent.name for path in resource("actions").glob("*/answer.schema.json"))
WORDS = sorted(set(FORMS) - {"ask"})


def check_proposal(
    value: Any, *, facts: Mapping[str, Mapping[str, Any]], repository: Repository, bundle: Path
) -> CheckedProposal:
    """Let rates through that the result lists, and that are no more than the best one."""
    listed = json.loads(open_bundle(bundle, word=WORD).path("rates.json").read_text())
    held = [rate for rate in value if rate in listed and rate <= facts[ID]["value"]]
    document = {"rates": [{"rate": rate, "held": rate in held} for rate in value]}
    text = f"rates: {held}\n# {repository.head}\n"
    return CheckedProposal(document, len(value), len(held), {"rates.yaml": text})


def render_proposal(document: Mapping[str, Any]) -> tuple[Block, ...]:
    """Show a line for each rate."""
    return tuple(
        Paragraph(Untrusted(f"rate {entry['rate']}: {'held' if entry['held'] else 'struck'}"))
        for entry in document["rates"]
    )


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Add a word that wants a proposal, as a new capability would bring it."""
    folder = tmp_path / "actions"
    write(folder / WORD / "answer.schema.json", json.dumps(FORM))
    write(folder / WORD / "prompt.md", "Which rates should be tried?\n")

    def found(name: str) -> Path:
        own = tmp_path / name
        return own if own.exists() else resource(name)

    module = ModuleType(f"mlactions.{WORD}.proposal")
    vars(module).update(check_proposal=check_proposal, render_proposal=render_proposal)
    for name in (f"mlactions.{WORD}", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    for user in (form, prompt):
        monkeypatch.setattr(user, "resource", found)
    return folder


@pytest.fixture
def project(tmp_path: Path, trial: Path) -> Project:
    """Make a pull request with a result of that word, which holds a file of its own."""
    made = make_project(tmp_path)
    folder = made.out.parent / "trial-result"
    write(folder / "rates.json", "[0.001, 0.01, 0.1]")
    make_bundle(folder, made.head, word=WORD, facts=[FACT])
    return Project(made.repository, folder, made.base, made.head, made.out)


def asked(project: Project, proposed: Any) -> tuple[Ran, dict[str, Any]]:
    """Let a scripted model propose rates, and verify its answer."""
    ran = prepare(project)
    assert ran.code == 0, ran.said
    with FakeModel(READ, says({**SUMMARY, "proposal": proposed})) as model:
        outcome = call_codex(project, model)
        assert "[0.001, 0.01, 0.1]" in model.requests[-1].tool_outputs[0]
    return verify(project, outcome)


def test_it_is_asked_for_checked_counted_shown_and_kept(project: Project) -> None:
    ran, checked = asked(project, [0.001, 0.1, 7])
    assert "`trial/`: the files of the result of trial" in project.workspace.prompt.read_text()
    assert checked["status"] == "answered"
    assert checked["claims"] == {"checked": 3, "held": 1}
    assert checked["proposal"]["claims"] == {"checked": 3, "held": 1}
    assert checked["proposal"]["word"] == WORD
    assert [entry["held"] for entry in checked["proposal"]["document"]["rates"]] == [
        True,
        False,
        False,
    ]
    for text in ("rate 0.001: held", "rate 7: struck", "`rates.yaml`", "1 of 3 claims held"):
        assert text in ran.summary
    bundle = open_bundle(project.workspace.bundle, word="ask")
    assert bundle.path("rates.yaml").read_text() == f"rates: [0.001]\n# {project.head}\n"


def test_a_comment_shows_it_too(project: Project) -> None:
    asked(project, [0.001])
    blocks = answer_blocks(project.workspace.bundle / "checked-answer.json", ())
    shown = render(Report("t", Status.PASS, "v", blocks))
    assert "rate 0.001: held" in shown
    assert "No explanation" not in shown


def test_a_document_that_contradicts_itself_leaves_the_comment_standing(project: Project) -> None:
    _, checked = asked(project, [0.001])
    for broken in ({"word": "compare"}, {"document": {"rates": 1}}):
        wrong = {**checked, "proposal": {**checked["proposal"], **broken}}
        path = write(project.out.parent / "wrong.json", json.dumps(wrong))
        shown = render(Report("t", Status.PASS, "v", answer_blocks(path, ())))
        assert "it contradicts itself" in shown


def test_a_bug_of_the_word_is_reported_and_no_answer_is_shown(project: Project) -> None:
    ran, checked = asked(project, [float(1), "no number"])
    assert checked["reason"] == "schema-violated"
    project.out.joinpath("answer.json").unlink()
    sys.modules[f"mlactions.{WORD}.proposal"].check_proposal = None  # type: ignore[attr-defined]
    ran, checked = asked(project, [0.001])
    assert (checked["status"], checked["reason"]) == ("no-answer", "check-failed")
    assert checked["proposal"] is None
    assert ran.code == 0


def test_an_answer_without_it_is_none(trial: Path) -> None:
    with pytest.raises(NoAnswerError, match="proposal"):
        parse_answer(json.dumps(ANSWER), [WORD])
    with pytest.raises(NoAnswerError, match="proposal"):
        parse_answer(json.dumps({**ANSWER, "proposal": []}), ["compare"])
    answer = parse_answer(json.dumps({**ANSWER, "proposal": [1]}), ["compare", WORD])
    assert answer.proposal == [1]


def test_an_answer_holds_one_proposal(project: Project, trial: Path) -> None:
    write(trial / "other" / "answer.schema.json", json.dumps(FORM))
    other = make_bundle(
        project.out.parent / "other-result",
        project.head,
        word="other",
        facts=[{**FACT, "id": "other.x"}],
    )
    ran = prepare(project, "--bundle", str(other))
    assert ran.code == 2
    assert "trial and other each want a proposal, and an answer holds one" in ran.said
    assert "Ask about each result on its own." in ran.said


def test_a_second_question_takes_the_place_of_the_first(project: Project) -> None:
    asked(project, [0.001])
    assert (project.workspace.bundle / "rates.yaml").exists()
    with FakeModel(runs("true"), says("no")) as model:
        environ = {"PATH": codex_path(), "HOME": str(project.out.parent), "CODEX_API_KEY": "k"}
        ask_locally(
            Runner(environ={**environ, "RUNNER_ENVIRONMENT": "github-hosted"}),
            [project.bundle],
            out=project.workspace.bundle,
            repository=project.repository,
            call=Call("scripted-model", endpoint=parse_endpoint(model.endpoint, field="endpoint")),
        )
    assert {path.name for path in project.workspace.bundle.iterdir()} == {
        "checked-answer.json",
        "report.md",
        "manifest.json",
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (CheckedProposal({}, 1, 2), "2 of 1 claims"),
        (CheckedProposal({"x": float("nan")}), "not JSON compliant"),
        (CheckedProposal({"x": "y" * 600_000}), "document"),
        (CheckedProposal({}, files={"../x": ""}), "'../x'"),
        (CheckedProposal({}, files={"manifest.json": ""}), "manifest.json"),
        (CheckedProposal({}, files={"suggested.patch": ""}), "suggested.patch"),
        (CheckedProposal({}, files={"a.yaml": "x" * 600_000}), "a.yaml has more"),
        (CheckedProposal({}, files={f"{n}.yaml": "" for n in range(21)}), "more than 20 files"),
    ],
)
def test_what_fits_into_no_answer_is_a_bug_of_the_word(wrong: CheckedProposal, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        proposal._hold(wrong)


def test_a_user_s_file_is_not_taken_for_an_earlier_proposal(tmp_path: Path) -> None:
    listed = {"proposal": {"files": ["a.yaml", "../b", "manifest.json"]}}
    write(tmp_path / "checked-answer.json", json.dumps(listed))
    assert proposal.answer_files(tmp_path) == proposal.OWN_FILES | {"a.yaml"}
    write(tmp_path / "checked-answer.json", "[]")
    assert proposal.answer_files(tmp_path) == proposal.OWN_FILES
    assert proposal.answer_files(tmp_path / "none") == proposal.OWN_FILES


@pytest.mark.parametrize("word", WORDS)
def test_strict_mode_takes_the_form_of_every_word(word: str) -> None:
    assert strict_schema_fault(form.answer_schema([word])) is None


@pytest.mark.parametrize("word", WORDS)
def test_a_word_checks_and_shows_what_it_wants_proposed(word: str) -> None:
    wants = form.proposer([word]) == word
    assert wants == resource(f"scripts/mlactions/{word}/proposal.py").exists()
    if wants:
        module = proposal._module(word)
        assert callable(module.check_proposal)
        assert callable(module.render_proposal)
