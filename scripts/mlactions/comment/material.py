"""What a comment shows: results and a checked answer, read as data and rendered here.

Markdown that somebody else wrote is never posted.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlactions.bundle import open_bundle, unfold
from mlactions.errors import UserError
from mlactions.publish import check_result
from mlactions.report import Block, Chip, Code, Details, Inline, Paragraph, Report, spans
from mlactions.schema import load_json, validate
from mlactions.settings import Status

RENDERERS: Mapping[str, str] = {
    "analyze": "mlactions.analyze.render",
    "audit": "mlactions.audit.render",
    "compare": "mlactions.compare",
    "diagnose": "mlactions.diagnose.render",
    "discover": "mlactions.discover.render",
    "drift": "mlactions.drift",
    "evaluate": "mlactions.evaluate",
    "export": "mlactions.export.render",
    "note": "mlactions.note.render",
    "propose": "mlactions.propose.render",
    "propose-check": "mlactions.propose.check_result",
    "propose-publish": "mlactions.propose.publish",
    "export-retry": "mlactions.export.retry_result",
}
"""The words whose results can be shown, and who does; a result of another one is refused."""

MEASURING = frozenset({"evaluate"})
"""Words whose results may come in several parts; of one that decides there is one."""

MAX_RESULT_BYTES = 16 * 1024 * 1024
MAX_ANSWER_BYTES = 1024 * 1024

# A schema cannot say all: what a document's word never wrote may not fit together.
_CONTRADICTIONS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True)
class Result:
    """One word's result: its report, the commit it is about, and facts an answer may cite."""

    word: str
    report: Report
    commit: str
    facts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Material:
    """Everything to show; `problems` are results that could not be read or do not belong.

    `commit` is what the first result given, the one that decides, is about; empty where that is
    not to be had. Others may come from a job that ran a pull request's code.
    """

    results: tuple[Result, ...]
    problems: tuple[UserError, ...]
    answer: tuple[Block, ...]
    commit: str = ""


def gather(
    results: Sequence[Path],
    answer: Path | None,
    unexplained: str = "",
    *,
    alike: Collection[str] = (),
) -> Material:
    """Read everything; what cannot be read becomes a problem that the comment names.

    Keeping silent about it would leave the last, perhaps green, comment standing. `alike` are
    commits that stand for one another: a pull request's head, and the merge GitHub made of it.
    """
    found: list[Result] = []
    problems: list[UserError] = []
    commit = ""
    for number, path in enumerate(part for given in results for part in unfold(given)):
        try:
            result = read_result(path)
            _belongs(result, found, commit, alike, path)
            commit = result.commit if number == 0 else commit
            found.append(result)
        except UserError as error:
            problems.append(error)
    blocks = answer_blocks(answer, found, unexplained)
    return Material(tuple(found), tuple(problems), blocks, commit)


def _belongs(
    result: Result, before: Sequence[Result], commit: str, alike: Collection[str], path: Path
) -> None:
    """Refuse what would speak for the result that decides, or is about another commit."""
    if result.word not in MEASURING and any(result.word == other.word for other in before):
        raise UserError("second result", f"`{result.word}` decides once.", file=str(path))
    same = result.commit == commit or {result.commit, commit} <= set(alike)
    if commit and result.commit and not same:
        raise UserError(
            "another commit",
            f"it is about {result.commit[:12]}, the result above about {commit[:12]}.",
            file=str(path),
        )


def read_result(path: Path) -> Result:
    """Read `result.json`, alone or in its bundle, and let its word render it."""
    facts: tuple[Mapping[str, Any], ...] = ()
    writer = ""
    if path.is_dir():
        bundle = open_bundle(path)
        file, writer = bundle.path("result.json"), bundle.word
        if any(entry.path == "facts.json" for entry in bundle.entries):
            facts = tuple(bundle.json("facts.json", schema="facts")["facts"])
    else:
        file = path
    document = load_json(file, max_bytes=MAX_RESULT_BYTES)
    check_result(document, file=str(file))
    word = document["word"]
    _check_writer(writer, word, facts, file)
    if word not in RENDERERS:
        raise UserError(
            "unknown result",
            f"it was written by `{word}`, expected one of: {', '.join(RENDERERS)}.",
            file=str(file),
        )
    validate(document, f"{word}-result", file=str(file))
    return Result(word, _rendered(word, document, file), document["commit"], facts)


def _check_writer(writer: str, word: str, facts: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Refuse a bundle that speaks for another word: who measures could pose as who decides."""
    if writer and writer != word:
        message = f"it was written by `{writer}` and says it is by `{word}`."
        raise UserError("contradictory result", message, file=str(file))
    family = word.partition("-")[0] + "."
    foreign = next((fact["id"] for fact in facts if not fact["id"].startswith(family)), "")
    if foreign:
        message = f"the fact `{foreign}` of `{word}` does not begin with `{family}`."
        raise UserError("contradictory result", message, file=str(file))


def _rendered(word: str, document: Mapping[str, Any], file: Path) -> Report:
    render = importlib.import_module(RENDERERS[word]).render
    try:
        report: Report = render(document)
    except _CONTRADICTIONS as error:
        raise UserError(
            "contradictory result", f"`{word}` cannot show it ({error!r}).", file=str(file)
        ) from None
    return report


def answer_blocks(
    path: Path | None, results: Sequence[Result], unexplained: str = ""
) -> tuple[Block, ...]:
    """Return the blocks of a checked answer; one that cannot be shown leaves a sentence.

    `unexplained` says why there is none, where the caller knows.
    """
    if path is None:
        asked = f"Codex was not asked for an explanation: {unexplained}."
        return (Paragraph(asked),) if unexplained else ()
    if unexplained and not path.is_file():
        return (_no_answer(unexplained),)
    try:
        document = load_json(path, max_bytes=MAX_ANSWER_BYTES)
        validate(document, "checked-answer", file=str(path))
    except UserError as error:
        return (_no_answer(error.title),)
    commits = {result.commit for result in results if result.commit}
    if document["commit"] and commits and document["commit"] not in commits:
        return (_no_answer("it is about another commit"),)
    facts = [fact for result in results for fact in result.facts]
    render = importlib.import_module("mlactions.ask").render_answer
    try:
        blocks: tuple[Block, ...] = render(document, facts)
    except _CONTRADICTIONS:
        return (_no_answer("it contradicts itself"),)
    return blocks


def _no_answer(why: str) -> Paragraph:
    return Paragraph((Chip(Status.WARN, "No explanation"), f": Codex's answer is left out, {why}."))


def combine(material: Material) -> Report:
    """Make one report: the first result in the open, the answer to it, the others in folds."""
    problems = tuple(Paragraph(_problem(error)) for error in material.problems)
    count = len(problems) + len(material.results)
    lost = f"{len(problems)} of {count} results could not be read, so nothing has passed."
    if not material.results:
        return Report("No result", Status.FAIL, lost, (*problems, *material.answer))
    first, *others = (result.report for result in material.results)
    end = _start_of_folds(first.blocks)
    blocks = (
        *first.blocks[:end],
        *material.answer,
        *first.blocks[end:],
        *(_fold(report, first) for report in others),
    )
    if not problems:
        return replace(first, blocks=blocks)
    found = Paragraph(first.verdict)
    return replace(first, status=Status.FAIL, verdict=lost, blocks=(*problems, found, *blocks))


def _start_of_folds(blocks: Sequence[Block]) -> int:
    """Return where the closing folds begin: an explanation reads best before them."""
    end = len(blocks)
    while end and isinstance(block := blocks[end - 1], Details) and not block.open:
        end -= 1
    return end


def _fold(report: Report, first: Report) -> Details:
    """Fold a further result; one that fails while the first does not is shown at once."""
    summary: Inline = (Chip(report.status, report.title), ": ", *spans(report.verdict))
    alarming = report.status is Status.FAIL and first.status is not Status.FAIL
    return Details(summary, report.blocks, open=alarming)


def _problem(error: UserError) -> Inline:
    name = Path(error.file).name if error.file else "result"
    return (Chip(Status.FAIL, "No result"), " in ", Code(name), f": {error.title}, {error.message}")
