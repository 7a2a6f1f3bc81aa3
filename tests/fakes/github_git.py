"""Git objects, as the fake GitHub stores them: blobs, trees, commits, each by its content's name.

`Store.objects` maps a name to bytes (a blob), to `{path: (mode, blob)}` (a whole tree, flat), or to
a dictionary with `tree`, `message` and `parents` (a commit).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.fakes.github_rules import Call, Refusal, operation, unprocessable
from tests.fakes.github_state import Store, blob_sha
from tests.fakes.loopback import Reply

Flat = dict[str, tuple[str, str]]


def load_commit(store: Store, root: Path, branch: str) -> str:
    """Put the commit of a branch of a real repository into the store, and the branch on it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    sha, tree = git("rev-parse", branch, f"{branch}^{{tree}}").split()
    flat: Flat = {}
    for line in git("ls-tree", "-r", "-z", sha).split("\0")[:-1]:
        about, path = line.split("\t")
        mode, _, blob = about.split(" ")
        flat[path] = (mode, blob)
    store.objects |= {tree: flat, sha: {"tree": tree, "message": "First", "parents": []}}
    store.branches[branch] = sha
    return sha


def files_of(store: Store, branch: str) -> dict[str, bytes | str]:
    """Return the files of a branch: contents that were stored here, else the blob's name."""
    flat: Flat = store.objects[store.objects[store.branches[branch]]["tree"]]
    return {path: store.objects.get(blob, blob) for path, (_, blob) in flat.items()}


@operation("git/create-blob", "contents")
def create_blob(call: Call) -> Reply:
    content = call.body["content"]
    try:
        encoded = call.body.get("encoding") == "base64"
        data = base64.b64decode(content, validate=True) if encoded else content.encode()
    except binascii.Error:
        unprocessable("content is not valid Base64", code="invalid", field="content")
    sha = blob_sha(data)
    call.store.objects[sha] = data
    return Reply(201, {"sha": sha, "url": f"{call.address}/git/blobs/{sha}"})


@operation("git/get-commit")
def get_commit(call: Call) -> Reply:
    return Reply(200, _commit_facts(call, call.parameters["commit_sha"]))


@operation("git/create-commit", "contents")
def create_commit(call: Call) -> Reply:
    body = call.body
    _known(call, body["tree"], "tree")
    for parent in body.get("parents", ()):
        _known(call, parent, "parents")
    commit = {name: body[name] for name in ("tree", "message", "parents")}
    sha = _name(commit)
    call.store.objects[sha] = commit
    return Reply(201, _commit_facts(call, sha))


@operation("git/get-tree")
def get_tree(call: Call) -> Reply:
    sha = call.parameters["tree_sha"]
    flat = call.store.objects.get(sha)
    if flat is None or "recursive" not in call.request.query:
        raise Refusal(404, "Not Found", status="404")
    return Reply(200, _tree_facts(call, sha, flat))


@operation("git/create-tree", "contents")
def create_tree(call: Call) -> Reply:
    base = call.body.get("base_tree")
    flat: Flat = dict(call.store.objects[base]) if base else {}
    for entry in call.body["tree"]:
        path, blob = entry["path"], entry.get("sha")
        if blob is None:
            if path not in flat:
                unprocessable("GitRPC::BadObjectState")
            del flat[path]
        else:
            known = {name for _, name in flat.values()}
            if blob not in call.store.objects and blob not in known:
                unprocessable(f"tree.sha {blob} is not a valid blob")
            flat[path] = (entry["mode"], blob)
    sha = _name(flat)
    call.store.objects[sha] = flat
    return Reply(201, _tree_facts(call, sha, flat))


def _known(call: Call, sha: str, field: str) -> None:
    if sha not in call.store.objects:
        unprocessable(f"{field} does not exist", code="missing", field=field)


def _name(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _commit_facts(call: Call, sha: str) -> dict[str, Any]:
    commit = call.store.objects.get(sha)
    if not isinstance(commit, dict) or "message" not in commit:
        raise Refusal(404, "Not Found", status="404")
    tree = {"sha": commit["tree"], "url": f"{call.address}/git/trees/{commit['tree']}"}
    return {"sha": sha, "message": commit["message"], "tree": tree}


def _tree_facts(call: Call, sha: str, flat: Flat) -> dict[str, Any]:
    listed = [
        {"path": path, "mode": mode, "type": "blob", "sha": blob}
        for path, (mode, blob) in sorted(flat.items())
    ]
    return {
        "sha": sha,
        "url": f"{call.address}/git/trees/{sha}",
        "tree": listed,
        "truncated": False,
    }
