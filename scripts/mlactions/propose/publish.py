"""`propose publish`: the one step that writes. It has a token, and runs nothing of anybody's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import open_bundle
from mlactions.errors import Exit, UserError
from mlactions.github import Connection, GitHub
from mlactions.github_data import Draft, TreeEntry
from mlactions.github_git import GitData
from mlactions.propose.draft import body_of, is_ours, mark_of, message_of, title_of
from mlactions.propose.gates import judge_again
from mlactions.propose.model import CHECK, FILE, NOTHING, PUBLISH, Entry, Finding
from mlactions.propose.prepare import check_event
from mlactions.propose.proposal import Proposal, moved, open_proposal
from mlactions.publish import Fact, empty_folder, out_folder, publish
from mlactions.report import Block, Code, Column, Link, Paragraph, Report, Table, Untrusted
from mlactions.runner import Runner
from mlactions.schema import validate
from mlactions.settings import Status, option

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TOKEN = re.compile(r"[!-~]+")
_URL = re.compile(r"https?://[\w.\[\]:-]+(/[!-~]*)?")


class RefusedError(Exception):
    """The change does not become a pull request: the findings say why."""

    def __init__(self, *findings: Finding) -> None:
        super().__init__("; ".join(finding.text for finding in findings))
        self.findings = findings


@dataclass(frozen=True)
class Posted:
    """What was written: the draft, and its branch's new commit."""

    draft: Draft
    head: str
    updated: bool


@click.command("publish")
@option("--bundle", required=True, type=Path, help="Folder that `propose take` wrote.")
@option("--checked", required=True, type=Path, help="Folder that `propose check` wrote.")
@option("--sha256", required=True, help="The output `sha256` of `propose`, from its own job.")
@option("--token", default="", help="A token with `contents: write` and `pull-requests: write`.")
@option("--out", type=Path, help="Folder for what was done.")
@click.pass_obj
def command(runner: Runner, /, *, bundle: Path, checked: Path, **given: Any) -> int:
    """Open or update a draft pull request of a change that was checked."""
    check_event(runner.environ)
    connection = _connection(given["token"].strip(), runner.environ)
    proposal = open_proposal(bundle)
    folder = out_folder(given["out"], runner, PUBLISH)
    empty_folder(folder, PUBLISH, ())
    result = open_bundle(checked, word=CHECK).json("result.json", schema="propose-check-result")
    with GitHub(connection, say=runner.say) as hub:
        try:
            _refuse(*_before(proposal, result, given["sha256"]))
            posted = _post(proposal, result, GitData(hub), _run_url(runner.environ))
            document = _document(proposal, posted, (), hub)
        except RefusedError as error:
            document = _document(proposal, None, error.findings, hub)
    validate(document, "propose-publish-result", file=str(folder / "result.json"))
    publish(runner, folder, document, render, facts(document))
    runner.output("pull-request", str(document["number"] or ""))
    runner.output("url", document["url"])
    return Exit.PASS if document["status"] == Status.PASS else Exit.FAILED_CHECK


def _connection(token: str, environ: Mapping[str, str]) -> Connection:
    repository = environ.get("GITHUB_REPOSITORY", "")
    url = environ.get("GITHUB_API_URL") or Connection.url
    if not _REPOSITORY.fullmatch(repository):
        raise UserError("bad input", f"GITHUB_REPOSITORY is {repository!r}.", "Write owner/name.")
    if not _TOKEN.fullmatch(token):
        message = "`token` is empty, or holds characters that no token has."
        raise UserError("bad input", message, "Write `token: ${{ github.token }}`.")
    if not _URL.fullmatch(url):
        raise UserError("bad input", f"GITHUB_API_URL is {url!r}.", "Write https://host/api/v3.")
    return Connection(repository, token, url)


def _run_url(environ: Mapping[str, str]) -> str:
    server, run = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_RUN_ID", "")
    if not (server.startswith("https://") and run.isdigit()):
        return ""
    return f"{server}/{environ.get('GITHUB_REPOSITORY', '')}/actions/runs/{run}"


def _refuse(*findings: Finding) -> None:
    if findings:
        raise RefusedError(*findings)


def _before(proposal: Proposal, checked: Mapping[str, Any], sha256: str) -> Iterator[Finding]:
    """Yield what can be said without GitHub: the same change, checked, within the rules.

    Artifacts could be replaced by any job of the run, the one that runs the change among them;
    `sha256` comes from the job that took it.
    """
    if proposal.sha256 != sha256:
        yield Finding("not-what-was-taken", "It is not the change that `propose` took.")
    if checked["proposal"] != proposal.sha256:
        yield Finding("other-change", "Another change was checked than this one.")
    if checked["status"] != Status.PASS:
        yield Finding("check-failed", checked["verdict"])
    yield from judge_again(_entries(proposal), proposal.rules)


def _entries(proposal: Proposal) -> list[Entry]:
    names = ("path", "mode_after", "blob_before", "blob_after", "added", "removed")
    return [
        Entry(
            **{name: file[name] for name in names},
            mode_before=_mode_before(file),
            after=_text(proposal.contents.get(file["path"])),
        )
        for file in proposal.result["files"]
    ]


def _mode_before(file: Mapping[str, Any]) -> str:
    if not file["blob_before"]:
        return NOTHING
    return FILE if file["kind"] == "deleted" else str(file["mode_after"])


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode(errors="replace")


def _post(proposal: Proposal, checked: Mapping[str, Any], git: GitData, run_url: str) -> Posted:
    """Write blobs, tree, commit, branch and draft, in this order; nothing before all is known."""
    about = proposal.result
    tip = git.branch(about["base"])
    if tip is None:
        raise RefusedError(Finding("no-base", f"GitHub has no branch {about['base']}."))
    commit = git.commit(tip)
    modes = _modes(proposal, git, tip, commit.tree)
    before, draft = _ours(about, git)
    entries = [_stored(file, proposal, git, modes) for file in about["files"]]
    tree = git.tree(commit.tree, entries)
    head = git.create_commit(message_of(about), tree, tip)
    if before is None:
        git.create_branch(about["branch"], head)
    else:
        git.move_branch(about["branch"], head)
    title, body = title_of(about), body_of(about, checked, tip=tip, run_url=run_url)
    if draft is not None:
        return Posted(git.edit_draft(draft, title, body), head, updated=True)
    return Posted(git.open_draft(about["branch"], about["base"], title, body), head, updated=False)


def _modes(proposal: Proposal, git: GitData, tip: str, tree: str) -> Mapping[str, str]:
    """Return the modes of the files at the tip; refuse if one is not what was changed any more."""
    files = git.files(tree)
    if files is None:
        text = "The repository has more files than GitHub lists at once."
        raise RefusedError(Finding("too-many-files-in-tree", text))
    found = {path: entry.blob for path, entry in files.items()}
    listed = proposal.result["files"]
    _refuse(
        *(moved(f["path"], tip) for f in listed if found.get(f["path"], "") != f["blob_before"])
    )
    return {path: entry.mode for path, entry in files.items()}


def _ours(about: Mapping[str, Any], git: GitData) -> tuple[str | None, Draft | None]:
    """Return our branch and draft of an earlier time; what a person made of them is left alone."""
    branch = about["branch"]
    before = git.branch(branch)
    if before is not None and not is_ours(git.commit(before).message, about["key"]):
        text = f"The last commit of {branch} is not ours: choose another `slug`."
        raise RefusedError(Finding("branch-not-ours", text))
    drafts = git.drafts(branch) if before is not None else ()
    if any(not draft.body.startswith(mark_of(about["key"])) for draft in drafts):
        text = f"The pull request of {branch} is not ours: choose another `slug`."
        raise RefusedError(Finding("pull-request-not-ours", text))
    return before, next(iter(drafts), None)


def _stored(
    file: Mapping[str, Any], proposal: Proposal, git: GitData, modes: Mapping[str, str]
) -> TreeEntry:
    path = file["path"]
    mode = modes.get(path, FILE)
    if file["kind"] == "deleted":
        return TreeEntry(path, mode, "")
    blob = git.blob(proposal.contents[path])
    if blob != file["blob_after"]:
        raise RefusedError(Finding("blob-differs", "GitHub stored another content.", path))
    return TreeEntry(path, mode, blob)


def _document(
    proposal: Proposal, posted: Posted | None, findings: tuple[Finding, ...], hub: GitHub
) -> dict[str, Any]:
    about = proposal.result
    outcome = "refused" if posted is None else "updated" if posted.updated else "opened"
    return {
        "version": 1,
        "word": PUBLISH,
        "status": str(Status.FAIL if posted is None else Status.PASS),
        "verdict": _verdict(posted, findings),
        "commit": about["commit"],
        "key": about["key"],
        "branch": about["branch"],
        "base": about["base"],
        "outcome": outcome,
        "number": posted.draft.number if posted else None,
        "url": posted.draft.url if posted else "",
        "head": posted.head if posted else "",
        "findings": [finding.document() for finding in findings[:200]],
        "requests": hub.requests,
    }


def _verdict(posted: Posted | None, findings: tuple[Finding, ...]) -> str:
    if posted is None:
        reasons = ", ".join(dict.fromkeys(finding.reason for finding in findings))
        return f"No pull request is written: {reasons}."
    return f"Draft pull request {posted.draft.number} is {'updated' if posted.updated else 'open'}."


def facts(result: Mapping[str, Any]) -> tuple[Fact, ...]:
    """Return what may be cited of it."""
    return (Fact("propose.publish.verdict", result["verdict"], result["outcome"]),)


def render(result: Mapping[str, Any]) -> Report:
    """Return the report of `publish`, from its result alone."""
    blocks: list[Block] = [Paragraph(("Branch ", Code(result["branch"])))]
    if result["url"].startswith("https://"):
        blocks.append(Paragraph((Link("The draft pull request", result["url"]),)))
    if result["findings"]:
        columns = (Column("refused because"), Column("where"), Column("what was found"))
        rows = tuple(
            (Code(f["reason"]), Code(f["path"]) if f["path"] else "", Untrusted(f["text"]))
            for f in result["findings"]
        )
        blocks.append(Table(columns, rows))
    status = Status(result["status"])
    return Report("Draft pull request", status, result["verdict"], tuple(blocks))
