"""Repository, checks, statuses, runs, branches and files, as the fake GitHub handles them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from tests.fakes.github_rules import Call, Refusal, found, operation, page, unprocessable
from tests.fakes.github_state import blob_sha, repository_facts
from tests.fakes.loopback import Reply

STATUS_DESCRIPTION_LIMIT = 140


@operation("repos/get")
def get_repository(call: Call) -> Reply:
    facts = repository_facts(call.store.repository)
    return Reply(200, {**facts, "default_branch": call.store.default_branch, "url": call.address})


@operation("repos/get-collaborator-permission-level")
def get_permission(call: Call) -> Reply:
    login = call.parameters["username"]
    level = call.store.permissions.get(login)
    if level is None:
        raise Refusal(404, f"{login} is not a user", status="404")
    user = {"login": login, "role_name": level}
    return Reply(200, {"permission": level, "role_name": level, "user": user})


@operation("checks/create", "checks")
def create_check(call: Call) -> Reply:
    identifier = len(call.store.checks) + 1
    call.store.checks[identifier] = {}
    return Reply(201, _write_check(call, identifier))


@operation("checks/update", "checks")
def update_check(call: Call) -> Reply:
    identifier = call.number("check_run_id")
    found(call.store.checks, identifier)
    return Reply(200, _write_check(call, identifier))


@operation("repos/create-commit-status", "statuses")
def create_status(call: Call) -> Reply:
    description = call.body.get("description") or ""
    if len(description) > STATUS_DESCRIPTION_LIMIT:
        message = f"description is too long (maximum is {STATUS_DESCRIPTION_LIMIT} characters)"
        unprocessable("Validation Failed", code="custom", field="description", message=message)
    known = ("state", "context", "description", "target_url")
    status = {name: call.body[name] for name in known if name in call.body}
    call.store.statuses.append({**status, "sha": call.parameters["sha"]})
    return Reply(201, {"id": len(call.store.statuses), **status})


@operation("actions/get-workflow-run")
def get_run(call: Call) -> Reply:
    run = found(call.store.runs, call.number("run_id"))
    return Reply(200, run.facts(call.address, call.store.repository))


@operation("actions/list-workflow-run-artifacts")
def list_artifacts(call: Call) -> Reply:
    run = found(call.store.runs, call.number("run_id"))
    wanted = call.request.query.get("name")
    artifacts = [
        {"id": index, "name": name, "workflow_run": {"id": run.id, "head_sha": run.head_sha}}
        for index, name in enumerate(run.artifacts, start=1)
        if wanted in (None, name)
    ]
    return page(call, artifacts, wrap="artifacts")


@operation("git/get-ref")
def get_ref(call: Call) -> Reply:
    return Reply(200, _ref_facts(call, call.parameters["ref"].removeprefix("heads/")))


@operation("git/create-ref", "contents")
def create_ref(call: Call) -> Reply:
    branch = call.body["ref"].removeprefix("refs/heads/")
    if not call.body["ref"].startswith("refs/"):
        unprocessable("Reference name is not valid.", code="invalid", field="ref")
    if branch in call.store.branches:
        unprocessable("Reference already exists", code="already_exists", field="ref")
    call.store.branches[branch] = call.body["sha"]
    base = [key for key in call.store.files if key[0] == call.store.default_branch]
    call.store.files |= {(branch, path): call.store.files[name, path] for name, path in base}
    return Reply(201, _ref_facts(call, branch))


@operation("git/update-ref", "contents")
def update_ref(call: Call) -> Reply:
    branch = call.parameters["ref"].removeprefix("heads/")
    if branch not in call.store.branches:
        unprocessable("Reference does not exist", code="missing", field="ref")
    call.store.branches[branch] = call.body["sha"]
    return Reply(200, _ref_facts(call, branch))


@operation("repos/get-content")
def get_content(call: Call) -> Reply:
    path = call.parameters["path"]
    content = call.store.files.get((_branch(call, call.request.query.get("ref")), path))
    if content is None:
        raise Refusal(404, "Not Found", status="404")
    encoded = base64.b64encode(content).decode()
    facts = {**_content_facts(path, content), "encoding": "base64", "content": encoded}
    return Reply(200, {**facts, "type": "file"})


@operation("repos/create-or-update-file-contents", "contents")
def put_content(call: Call) -> Reply:
    path, branch = call.parameters["path"], _branch(call, call.body.get("branch"))
    if path.startswith(".github/workflows/") and "workflows" not in call.identity.writes:
        raise Refusal(403, "Resource not accessible by integration", status="403")
    old = call.store.files.get((branch, path))
    given = call.body.get("sha")
    if old is not None and given is None:
        unprocessable('Invalid request. "sha" wasn\'t supplied.', code="missing_field")
    if old is not None and given != blob_sha(old):
        raise Refusal(409, f"{path} does not match {given}", status="409")
    try:
        content = base64.b64decode(call.body["content"], validate=True)
    except binascii.Error:
        unprocessable("content is not valid Base64", code="invalid", field="content")
    commit = call.store.commit(branch, path, content)
    value = {
        "content": {**_content_facts(path, content), "type": "file"},
        "commit": {"sha": commit, "message": call.body["message"]},
    }
    return Reply(200 if old is not None else 201, value)


def _write_check(call: Call, identifier: int) -> dict[str, Any]:
    check = {**call.store.checks[identifier], **call.body}
    if check.get("status") == "completed" and "conclusion" not in check:
        unprocessable("Invalid request.", code="missing_field", field="conclusion")
    if "conclusion" in check:
        check["status"] = "completed"
    call.store.checks[identifier] = check
    known = ("name", "head_sha", "status", "conclusion", "details_url", "external_id")
    facts = {name: check[name] for name in known if name in check}
    given = check.get("output", {})
    output = {name: given[name] for name in ("title", "summary", "text") if name in given}
    return {**facts, "id": identifier, "output": output}


def _branch(call: Call, given: str | None) -> str:
    return (given or call.store.default_branch).removeprefix("refs/heads/")


def _ref_facts(call: Call, branch: str) -> dict[str, Any]:
    if branch not in call.store.branches:
        raise Refusal(404, "Not Found", status="404")
    sha = call.store.branches[branch]
    return {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": sha}}


def _content_facts(path: str, content: bytes) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {"name": name, "path": path, "sha": blob_sha(content), "size": len(content)}
