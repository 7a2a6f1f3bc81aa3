"""Issues, pull requests and their comments, as the fake GitHub handles them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes.github_rules import (
    Call,
    Refusal,
    found,
    limit_body,
    operation,
    page,
    unprocessable,
)
from tests.fakes.github_state import Issue, Pull
from tests.fakes.loopback import Reply


@operation("issues/list-comments")
def list_comments(call: Call) -> Reply:
    number = call.number("issue_number")
    _thread(call, number)
    since = call.request.query.get("since", "")
    comments = [item for item in call.store.comments.values() if item.number == number]
    comments = [item for item in comments if item.updated_at >= since]
    return page(call, [item.facts(call.address) for item in sorted(comments, key=lambda c: c.id)])


@operation("issues/create-comment", "issues", "pull_requests")
def create_comment(call: Call) -> Reply:
    number = call.number("issue_number")
    _thread(call, number)
    limit_body(call)
    if not call.body["body"].strip():
        unprocessable("Validation Failed", code="missing_field", field="body")
    comment = call.store.add_comment(number, call.body["body"], call.identity)
    return Reply(201, comment.facts(call.address))


@operation("issues/get-comment")
def get_comment(call: Call) -> Reply:
    return Reply(200, found(call.store.comments, call.number("comment_id")).facts(call.address))


@operation("issues/update-comment", "issues", "pull_requests")
def update_comment(call: Call) -> Reply:
    found(call.store.comments, call.number("comment_id"))
    limit_body(call)
    comment = call.store.change_comment(call.number("comment_id"), body=call.body["body"])
    return Reply(200, comment.facts(call.address))


@operation("issues/delete-comment", "issues", "pull_requests")
def delete_comment(call: Call) -> Reply:
    found(call.store.comments, call.number("comment_id"))
    del call.store.comments[call.number("comment_id")]
    return Reply(204)


@operation("issues/list-for-repo")
def list_issues(call: Call) -> Reply:
    query = call.request.query
    labels = {name for name in query.get("labels", "").split(",") if name}
    everything: list[Issue | Pull] = [*call.store.issues.values(), *call.store.pulls.values()]
    wanted = [
        item
        for item in everything
        if query.get("state", "open") in (item.state, "all") and labels <= set(item.labels)
    ]
    wanted.sort(key=lambda item: -item.number)
    return page(call, [item.issue_facts(call.address) for item in wanted])


@operation("issues/create", "issues")
def create_issue(call: Call) -> Reply:
    limit_body(call)
    number = call.store.next_number()
    labels = tuple(_label(item) for item in call.body.get("labels", ()))
    text = call.body.get("body") or ""
    call.store.issues[number] = Issue(
        number, str(call.body["title"]), text, call.identity, labels=labels
    )
    return Reply(201, call.store.issues[number].issue_facts(call.address))


@operation("issues/get")
def get_issue(call: Call) -> Reply:
    return Reply(
        200, found(call.store.issues, call.number("issue_number")).issue_facts(call.address)
    )


@operation("issues/update", "issues")
def update_issue(call: Call) -> Reply:
    number = call.number("issue_number")
    issue = found(call.store.issues, number)
    limit_body(call)
    fields = ("title", "body", "state")
    changes: dict[str, Any] = {name: call.body[name] for name in fields if name in call.body}
    if "labels" in call.body:
        changes["labels"] = tuple(_label(item) for item in call.body["labels"])
    call.store.issues[number] = replace(issue, **changes)
    return Reply(200, call.store.issues[number].issue_facts(call.address))


@operation("pulls/list")
def list_pulls(call: Call) -> Reply:
    query = call.request.query
    pulls = [
        pull
        for pull in call.store.pulls.values()
        if query.get("state", "open") in (pull.state, "all")
        and query.get("base", pull.base_ref) == pull.base_ref
        and _at_head(pull, query.get("head", ""))
    ]
    oldest_first = query.get("direction") == "asc"
    pulls.sort(key=lambda pull: pull.number, reverse=not oldest_first)
    return page(call, [pull.facts(call.address) for pull in pulls])


@operation("pulls/create", "pull_requests")
def create_pull(call: Call) -> Reply:
    body, store = call.body, call.store
    limit_body(call)
    branch = body["head"].rpartition(":")[2]
    if branch not in store.branches:
        unprocessable("Validation Failed", code="invalid", field="head", resource="PullRequest")
    pull = Pull(
        number=store.next_number(),
        head_sha=store.branches[branch],
        head_ref=branch,
        base_ref=body["base"],
        base_sha=store.branches.get(body["base"], "b" * 40),
        repository=store.repository,
        head_repository=store.repository,
        title=body.get("title", ""),
        body=body.get("body", ""),
        draft=body.get("draft", False),
        author=call.identity,
    )
    same = [p for p in store.pulls.values() if (p.head_ref, p.state) == (branch, "open")]
    if same:
        message = f"A pull request already exists for {_label_of(pull)}."
        unprocessable("Validation Failed", code="custom", message=message)
    store.pulls[pull.number] = pull
    return Reply(201, pull.facts(call.address))


@operation("pulls/get")
def get_pull(call: Call) -> Reply:
    return Reply(200, found(call.store.pulls, call.number("pull_number")).facts(call.address))


@operation("pulls/update", "pull_requests")
def update_pull(call: Call) -> Reply:
    number = call.number("pull_number")
    pull = found(call.store.pulls, number)
    limit_body(call)
    changes = {name: call.body[name] for name in ("title", "body", "state") if name in call.body}
    call.store.pulls[number] = replace(pull, **changes)
    return Reply(200, call.store.pulls[number].facts(call.address))


@operation("pulls/list-files")
def list_files(call: Call) -> Reply:
    pull = found(call.store.pulls, call.number("pull_number"))
    return page(call, [{"filename": name, "status": "modified"} for name in pull.files])


@operation("repos/list-pull-requests-associated-with-commit")
def list_pulls_of_commit(call: Call) -> Reply:
    sha = call.parameters["commit_sha"]
    pulls = [pull for pull in call.store.pulls.values() if pull.head_sha == sha]
    return page(call, [pull.facts(call.address) for pull in pulls])


def _thread(call: Call, number: int) -> None:
    if not call.store.has_thread(number):
        raise Refusal(404, "Not Found", status="404")


def _label(item: str | dict[str, Any]) -> str:
    return item if isinstance(item, str) else item["name"]


def _at_head(pull: Pull, head: str) -> bool:
    """GitHub reads `owner:branch`; anything else it ignores, and lists every pull request."""
    owner, _, branch = head.partition(":")
    return not (owner and branch) or head == _label_of(pull)


def _label_of(pull: Pull) -> str:
    return f"{pull.head_owner}:{pull.head_ref}"
