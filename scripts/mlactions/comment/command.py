"""The command: settings in, one post out, and the outputs that say what was done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mlactions.bundle import seal, write_atomic, write_json
from mlactions.comment.event import Event, read_event
from mlactions.comment.material import Material, combine, gather
from mlactions.comment.posting import Draft, Posted, post_comment, post_issue, unposted
from mlactions.comment.sticky import Identity
from mlactions.errors import Exit, UserError
from mlactions.github import Connection, GitHub, GitHubError
from mlactions.publish import empty_folder, out_folder
from mlactions.runner import Runner
from mlactions.schema import validate
from mlactions.settings import Status, check_key, lines_option, option

_COMMIT = re.compile(r"(?:[0-9a-f]{40}(?:[0-9a-f]{24})?)?")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_TOKEN = re.compile(r"[!-~]+")
_URL = re.compile(r"https?://[\w.\[\]:-]+(/[!-~]*)?")
# A person's tokens, by the prefixes GitHub gives them.
_PERSONS_TOKENS = ("ghp_", "github_pat_", "gho_", "ghu_")


@dataclass(frozen=True)
class Settings:
    """What to show, where, and as whom."""

    results: tuple[Path, ...]
    answer: Path | None
    unexplained: str
    identity: Identity
    connection: Connection
    number: int | None
    head_sha: str
    artifact_url: str
    issue_title: str
    close_on_pass: bool
    out: Path


@click.command("comment")
@lines_option("--result", required=True, help="Bundle or result.json; all but the first folded.")
@option("--answer", type=click.Path(path_type=Path), help="checked-answer.json of `ask`.")
@option("--unexplained", default="", help="Why Codex was not asked, said in place of an answer.")
@option("--key", default="gate", show_default=True, help="One comment per key and pull request.")
@option("--token", default="", help="A token with `pull-requests: write`.")
@option(
    "--author-login",
    default="github-actions[bot]",
    show_default=True,
    help="The bot that the token comments as.",
)
@option("--pull-request", type=click.IntRange(min=1), help="Its number; else the event's.")
@option("--head-sha", default="", help="The commit the run started with; else the event's.")
@option("--artifact-url", default="", help="Where the whole report is; else the run's artifacts.")
@option("--issue-title", default="", help="Keep one issue with this title instead of a comment.")
@option("--close-on-pass", is_flag=True, help="Close that issue while all is well.")
@option("--out", type=click.Path(path_type=Path), help="Folder for what was posted.")
@click.pass_obj
def command(runner: Runner, /, **options: Any) -> int:
    """Show results as one sticky pull-request comment; without the right to, in the summary."""
    settings = _settings(options, runner)
    empty_folder(settings.out, "comment", ())
    merge_sha = runner.environ.get("GITHUB_SHA", "")
    event = read_event(runner.environ)
    alike = {merge_sha, settings.head_sha or event.head.sha}
    material = gather(settings.results, settings.answer, settings.unexplained, alike=alike)
    draft = _draft(settings, material, event, runner.environ)
    try:
        posted, hub = _post(settings, draft, runner)
    except GitHubError:
        # Nobody may read the verdict anywhere else while GitHub does not answer.
        runner.summary(unposted(draft))
        raise
    status = Status.FAIL if material.problems else posted.status
    _publish(settings, posted, status, hub, runner)
    if material.problems:
        raise material.problems[0]
    return Exit.PASS


def _post(settings: Settings, draft: Draft, runner: Runner) -> tuple[Posted, GitHub]:
    with GitHub(settings.connection, say=runner.say) as hub:
        if settings.issue_title:
            title, close = settings.issue_title, settings.close_on_pass
            return post_issue(draft, title, hub, close_on_pass=close), hub
        return post_comment(draft, hub), hub


def _settings(options: Mapping[str, Any], runner: Runner) -> Settings:
    sha = options["head_sha"]
    if not _COMMIT.fullmatch(sha):
        raise UserError("bad input", f"`head-sha` is {sha!r}.", "Write the full commit hash.")
    return Settings(
        results=tuple(Path(path) for path in options["result"]),
        answer=options["answer"],
        unexplained=options["unexplained"],
        identity=Identity(options["author_login"], check_key(options["key"], field="key")),
        connection=_connection(options["token"].strip(), runner.environ),
        number=options["pull_request"],
        head_sha=sha,
        artifact_url=options["artifact_url"],
        issue_title=options["issue_title"],
        close_on_pass=options["close_on_pass"],
        out=out_folder(options["out"], runner, "comment"),
    )


def _connection(token: str, environ: Mapping[str, str]) -> Connection:
    repository = environ.get("GITHUB_REPOSITORY", "")
    if not repository:
        raise UserError(
            "bad input",
            "GITHUB_REPOSITORY is empty: `comment` runs in a workflow, where GitHub sets it.",
            "To try it elsewhere, set it to owner/name and INPUT_TOKEN to a GitHub App's token, and"
            " add --pull-request NUMBER.",
        )
    if not _REPOSITORY.fullmatch(repository):
        raise UserError("bad input", f"GITHUB_REPOSITORY is {repository!r}.", "Write owner/name.")
    if not token:
        raise UserError("bad input", "`token` is empty.", "Write `token: ${{ github.token }}`.")
    if not _TOKEN.fullmatch(token):
        # A header cannot carry it, and the error of whoever tries would print it.
        raise UserError("bad input", "`token` holds characters that no token has.")
    url = environ.get("GITHUB_API_URL") or Connection.url
    if not _URL.fullmatch(url):
        raise UserError("bad input", f"GITHUB_API_URL is {url!r}.", "Write https://host/api/v3.")
    if token.startswith(_PERSONS_TOKENS):
        raise UserError(
            "bad input",
            "`token` speaks for a person, whose own comments could not be told from ours.",
            "Write `token: ${{ github.token }}`, or take the token of a GitHub App.",
        )
    return Connection(repository, token, url)


def _draft(
    settings: Settings, material: Material, event: Event, environ: Mapping[str, str]
) -> Draft:
    return Draft(
        combine(material),
        settings.identity,
        event,
        commit=material.commit,
        number=settings.number,
        sha=settings.head_sha,
        merge_sha=environ.get("GITHUB_SHA", ""),
        repository=settings.connection.repository,
        server_url=environ.get("GITHUB_SERVER_URL") or Draft.server_url,
        run_id=environ.get("GITHUB_RUN_ID", ""),
        artifact_url=settings.artifact_url,
    )


def _publish(
    settings: Settings, posted: Posted, status: Status, hub: GitHub, runner: Runner
) -> None:
    """Write what was done and what was posted; the report goes to the summary only if it must."""
    url = posted.post.url if posted.post else ""
    identifier = posted.post.id if posted.post else None
    result = {
        "version": 1,
        "word": "comment",
        "status": str(status),
        "verdict": posted.verdict,
        "commit": posted.commit,
        "key": settings.identity.key,
        "outcome": str(posted.outcome),
        "number": posted.number,
        "id": identifier,
        "url": url,
        "requests": hub.requests,
    }
    validate(result, "comment-result", file="result.json")
    out = settings.out
    write_json(out / "result.json", result)
    write_atomic(out / "report.md", posted.body)
    seal(out, "comment")
    for name, value in (
        ("status", str(status)),
        ("bundle", str(out)),
        ("result", str(out / "result.json")),
        ("report", str(out / "report.md")),
        ("comment-url", url),
        ("comment-id", str(identifier or "")),
    ):
        runner.output(name, value)
    if posted.post is None:
        runner.summary(posted.body)
    if posted.warning is not None:
        runner.annotate(posted.warning)
    runner.conclude(status, f"{posted.verdict} ({hub.requests} requests)")
