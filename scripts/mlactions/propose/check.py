"""`propose check`: the change is applied and run, in a job that has no key and cannot write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions.ask.repository import open_repository
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.evaluate.provenance import probe
from mlactions.evaluate.template import Template
from mlactions.export.settings import parse_python
from mlactions.propose.check_result import OLD_TESTS, document, edited_tests, facts, render
from mlactions.propose.gates import hidden
from mlactions.propose.junit import of_test
from mlactions.propose.model import CHECK, Finding
from mlactions.propose.proposal import Proposal, moved, open_proposal
from mlactions.propose.testing import is_test_file
from mlactions.propose.trial import Job, NotApplied, Ran, Tree, trial
from mlactions.publish import empty_folder, out_folder, publish
from mlactions.runner import Runner
from mlactions.schema import validate
from mlactions.settings import Status, lines_option, option, parse_duration_minutes

ADDED = "python -m pytest -q -p no:cacheprovider --junitxml={report} {tests}"


@dataclass(frozen=True)
class Commands:
    """What is run: the repository's lint and tests, and how single test files are run.

    `added` has `{tests}` for the files and `{report}` for the JUnit XML that it must write.
    """

    lint: str
    tests: str
    added: str
    python: tuple[str, ...]


@click.command("check")
@option("--bundle", required=True, type=Path, help="Folder that `propose take` wrote.")
@option("--sha256", default="", help="The output `sha256` of `propose`: no other change will do.")
@option("--lint", default="", help="Your lint, a bash command; empty runs none.")
@option("--tests", default="", help="Your tests, a bash command; empty runs none.")
@option(
    "--added-tests", default=ADDED, help="Runs test files: {tests}, writes JUnit XML: {report}."
)
@option("--python", default="python", help="Your Python, which builds the claimed models.")
@lines_option("--share", help="Untracked paths that the other work tree needs too.")
@option("--timeout-minutes", default="30", help="Time limit of each command.")
@option("--working-directory", default=".", help="Folder of the ML project in the checkout.")
@option("--out", type=Path, help="Folder for the result.")
@click.pass_obj
def command(runner: Runner, /, *, bundle: Path, out: Path | None, **given: Any) -> int:
    """Run lint, tests and claims on a change, in a work tree that is thrown away."""
    proposal = open_proposal(bundle)
    if given["sha256"] and given["sha256"] != proposal.sha256:
        message = "it is not the change that `sha256` names."
        raise UserError("other change", message, "Fetch the artifact again.", str(bundle))
    folder = out_folder(out, runner, CHECK)
    empty_folder(folder, CHECK, ())
    commands, job = _setup(runner, given)
    result = _check(proposal, commands, job)
    validate(result, "propose-check-result", file=str(folder / "result.json"))
    publish(runner, folder, result, render, facts(result))
    return Exit.PASS if result["status"] == Status.PASS else Exit.FAILED_CHECK


def _setup(runner: Runner, given: Mapping[str, Any]) -> tuple[Commands, Job]:
    for placeholder in ("{tests}", "{report}"):
        if placeholder not in given["added_tests"]:
            message = f"`added-tests` has no {placeholder}."
            raise UserError("bad input", message, f"Write for example: {ADDED}")
    work = Path(given["working_directory"]).resolve()
    repository = open_repository(work)
    python = parse_python(given["python"])
    environ = caller_environment(runner.environ)
    paths = probe(Template(python), folder=work, environ=environ).paths
    job = Job(
        repository=repository,
        folder=work,
        environ=environ,
        imports_from=paths,
        share=given["share"],
        seconds=parse_duration_minutes(given["timeout_minutes"], field="timeout-minutes"),
        runner=runner,
    )
    return Commands(given["lint"], given["tests"], given["added_tests"], python), job


def _check(proposal: Proposal, commands: Commands, job: Job) -> dict[str, Any]:
    runs: dict[str, tuple[str, Ran | None]] = {}
    models: list[dict[str, Any]] = []
    with trial(job) as tree:
        findings = list(_applied(proposal, tree))
        if not findings:
            for name, line in (("lint", commands.lint), ("tests", commands.tests)):
                job.runner.say(f"{name}: {line or '(none)'}")
                runs[name] = (line, tree.shell(line, name) if line else None)
            if commands.tests and (ran := _old_tests(proposal, commands.tests, job)):
                runs[OLD_TESTS] = (commands.tests, ran)
            models = [_counted(model, tree, commands) for model in proposal.result["models"]]
    tests = [] if findings else _added(proposal, commands, job)
    return document(proposal, job.repository.head, findings, runs=runs, models=models, tests=tests)


def _applied(proposal: Proposal, tree: Tree) -> Iterator[Finding]:
    """Apply the patch; it must give exactly the files that would be published."""
    folder = tree.work.relative_to(tree.root).as_posix()
    for file in proposal.result["files"]:
        if finding := hidden(file["path"], file["kind"], folder="" if folder == "." else folder):
            yield finding
    try:
        tree.apply(proposal.patch)
    except NotApplied as error:
        yield Finding("does-not-apply", f"git apply: {error}"[:4000])
        return
    head = tree.job.repository.head
    for file in proposal.result["files"]:
        if tree.blob(file["path"]) != file["blob_after"]:
            yield moved(file["path"], head)


def _old_tests(proposal: Proposal, command: str, job: Job) -> Ran | None:
    """Run the repository's own tests, as they were, on the code of a change that edits tests."""
    files = proposal.result["files"]
    code = [file["path"] for file in files if not is_test_file(file["path"])]
    if not code or not edited_tests(files):
        return None
    with trial(job) as tree:
        tree.apply(proposal.patch, only=code)
        job.runner.say(f"{OLD_TESTS}, on the change: {command}")
        return tree.shell(command, "old-tests")


def _counted(model: Mapping[str, Any], tree: Tree, commands: Commands) -> dict[str, Any]:
    counted, ran = tree.count(commands.python, model)
    last = ran.log[-1] if ran.log else ""
    why = "" if counted else f"It could not be built ({ran.outcome}): {last}"
    return {
        "factory": model["factory"],
        "arguments": model["arguments"],
        "claimed": model["parameters"],
        "claimed_trainable": model["trainable"],
        "parameters": counted["parameters"] if counted else None,
        "trainable": counted["trainable"] if counted else None,
        "why": why[:2000],
    }


def _added(proposal: Proposal, commands: Commands, job: Job) -> list[dict[str, Any]]:
    """Run the tests that came with the change, with it and on the code as it was."""
    added = proposal.result["tests"]
    if not added:
        return []
    files = [entry["path"] for entry in added]
    with trial(job) as tree:
        tree.apply(proposal.patch)
        job.runner.say("The added tests, with the change:")
        after = tree.outcomes(commands.added, files, "with") or {}
    with trial(job) as tree:
        tree.apply(proposal.patch, only=_test_files(proposal.result["files"]))
        job.runner.say("The added tests, without the change:")
        before = tree.outcomes(commands.added, files, "without")
    return [
        {
            "path": entry["path"],
            "name": name,
            "with": of_test(after, entry["path"], name) or "not-run",
            # A module that cannot even be imported is reported under its own name: nothing passed.
            "without": "not-run"
            if before is None
            else of_test(before, entry["path"], name) or "failed",
        }
        for entry in added
        for name in entry["names"]
    ]


def _test_files(files: Sequence[Mapping[str, Any]]) -> list[str]:
    return [file["path"] for file in files if is_test_file(file["path"])]
