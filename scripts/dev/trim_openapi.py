"""Cut GitHub's OpenAPI description down to the operations this project calls.

    trim_openapi.py [SOURCE.json] [--check]

SOURCE is `generated/api.github.com.json` of the npm package named below; without it the package is
fetched with npm. Only what a validator reads is kept: no prose, titles or examples. The result is
tests/fakes/github-openapi.json; --check compares instead of writing and exits 1 on a difference.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

PACKAGE = "@octokit/openapi@23.0.2"
MEMBER = "package/generated/api.github.com.json"
TARGET = Path(__file__).resolve().parents[2] / "tests" / "fakes" / "github-openapi.json"

REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = (
    f"get {REPOSITORY}",
    f"get {REPOSITORY}/issues/{{issue_number}}/comments",
    f"post {REPOSITORY}/issues/{{issue_number}}/comments",
    f"get {REPOSITORY}/issues/comments/{{comment_id}}",
    f"patch {REPOSITORY}/issues/comments/{{comment_id}}",
    f"delete {REPOSITORY}/issues/comments/{{comment_id}}",
    f"get {REPOSITORY}/issues",
    f"post {REPOSITORY}/issues",
    f"get {REPOSITORY}/issues/{{issue_number}}",
    f"patch {REPOSITORY}/issues/{{issue_number}}",
    f"get {REPOSITORY}/pulls",
    f"post {REPOSITORY}/pulls",
    f"get {REPOSITORY}/pulls/{{pull_number}}",
    f"patch {REPOSITORY}/pulls/{{pull_number}}",
    f"get {REPOSITORY}/pulls/{{pull_number}}/files",
    f"get {REPOSITORY}/commits/{{commit_sha}}/pulls",
    f"get {REPOSITORY}/collaborators/{{username}}/permission",
    f"post {REPOSITORY}/check-runs",
    f"patch {REPOSITORY}/check-runs/{{check_run_id}}",
    f"post {REPOSITORY}/statuses/{{sha}}",
    f"get {REPOSITORY}/actions/runs/{{run_id}}",
    f"get {REPOSITORY}/actions/runs/{{run_id}}/artifacts",
    f"post {REPOSITORY}/git/blobs",
    f"get {REPOSITORY}/git/commits/{{commit_sha}}",
    f"post {REPOSITORY}/git/commits",
    f"get {REPOSITORY}/git/trees/{{tree_sha}}",
    f"post {REPOSITORY}/git/trees",
    f"get {REPOSITORY}/git/ref/{{ref}}",
    f"post {REPOSITORY}/git/refs",
    f"patch {REPOSITORY}/git/refs/{{ref}}",
    f"get {REPOSITORY}/contents/{{path}}",
    f"put {REPOSITORY}/contents/{{path}}",
)

SCHEMA_VALUES = frozenset(
    {"$ref", "type", "format", "nullable", "required", "enum", "pattern", "uniqueItems"}
    | {f"{bound}{what}" for bound in ("min", "max") for what in ("Length", "Items", "Properties")}
    | {"minimum", "maximum"}
)
SCHEMA_CHILDREN = frozenset({"items", "additionalProperties", "not"})
SCHEMA_LISTS = frozenset({"oneOf", "anyOf", "allOf"})

Json = dict[str, Any]


def trim_schema(schema: Any) -> Any:
    """Keep the keywords that constrain a value; a property may itself be called `title`."""
    if not isinstance(schema, dict):
        return schema
    trimmed: Json = {}
    for key, value in schema.items():
        if key in SCHEMA_VALUES:
            trimmed[key] = value
        elif key in SCHEMA_CHILDREN:
            trimmed[key] = trim_schema(value)
        elif key in SCHEMA_LISTS:
            # Some of GitHub's alternatives overlap (an error fits two of them): any one will do.
            kept = "anyOf" if key == "oneOf" else key
            trimmed[kept] = [trim_schema(item) for item in value]
        elif key == "properties":
            trimmed[key] = {name: trim_schema(item) for name, item in value.items()}
    if trimmed.get("nullable") and None not in trimmed.get("enum", [None]):
        # OpenAPI wants null among the values; GitHub leaves it out.
        trimmed["enum"] = [*trimmed["enum"], None]
    return trimmed


def trim_content(holder: Json) -> Json:
    """Keep the JSON body of a request or reply."""
    body = holder.get("content", {}).get("application/json")
    if body is None:
        return {}
    return {"content": {"application/json": {"schema": trim_schema(body["schema"])}}}


def trim_parameter(parameter: Json) -> Json:
    """Keep what a parameter is called, where it stands and which values it takes."""
    if "$ref" in parameter:
        return parameter
    fields = ("name", "in", "required")
    kept: Json = {field: parameter[field] for field in fields if field in parameter}
    return {**kept, "schema": trim_schema(parameter["schema"])}


def trim_response(response: Json) -> Json:
    """Keep a reply's body; OpenAPI insists on a description, so it is there and empty."""
    return response if "$ref" in response else {"description": "", **trim_content(response)}


def trim_operation(operation: Json) -> Json:
    """Keep parameters, request body and replies under the operation's own name."""
    trimmed: Json = {"operationId": operation["operationId"]}
    trimmed["parameters"] = [trim_parameter(item) for item in operation.get("parameters", [])]
    if "requestBody" in operation:
        body = operation["requestBody"]
        trimmed["requestBody"] = {"required": body.get("required", False), **trim_content(body)}
    trimmed["responses"] = {
        status: trim_response(response) for status, response in operation["responses"].items()
    }
    return trimmed


def references(node: Any) -> set[str]:
    """Every `#/components/<kind>/<name>` below a node."""
    if isinstance(node, dict):
        found = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


TRIM = {"schemas": trim_schema, "parameters": trim_parameter, "responses": trim_response}


def trim(source: Json, operations: tuple[str, ...] = OPERATIONS) -> Json:
    """Describe these operations and everything they refer to."""
    paths: Json = {}
    for operation in operations:
        method, path = operation.split(" ")
        paths.setdefault(path, {})[method] = trim_operation(source["paths"][path][method])
    components: dict[str, Json] = {}
    pending = references(paths)
    while pending:
        kind, name = pending.pop().removeprefix("#/components/").split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = TRIM[kind](source["components"][kind][name])
            pending |= references(components[kind][name])
    return {
        "openapi": source["openapi"],
        "info": {"title": PACKAGE, "version": source["info"]["version"]},
        "servers": [{"url": "https://api.github.com"}],
        "paths": paths,
        "components": components,
    }


def render(description: Json) -> str:
    """One line for each path and component, sorted, so that a refresh reads well as a diff."""
    head = ("openapi", "info", "servers")
    lines = ["{", *(f"{json.dumps(key)}: {compact(description[key])}," for key in head)]
    lines += [*section("paths", description["paths"]), ",", '"components": {']
    for kind in sorted(description["components"]):
        lines += [*section(kind, description["components"][kind]), ","]
    return "\n".join([*lines[:-1], "}", "}", ""])


def section(name: str, entries: Json) -> list[str]:
    """Write a JSON object with one entry a line."""
    body = [f"{json.dumps(key)}: {compact(entries[key])}" for key in sorted(entries)]
    return [f"{json.dumps(name)}: {{", ",\n".join(body), "}"]


def compact(value: Any) -> str:
    """Write the shortest JSON, keys sorted."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def fetch() -> Json:
    """Get the description out of the npm package; npm checks the package's integrity."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", PACKAGE, "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=sys.stderr)
        archive = next(Path(folder).glob("*.tgz"))
        with tarfile.open(archive) as package:
            member = package.extractfile(MEMBER)
            if member is None:
                raise SystemExit(f"{PACKAGE} holds no {MEMBER}")
            return json.load(member)  # type: ignore[no-any-return]


def main() -> int:
    """Write the trimmed description, or say whether the one here is current."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    source = json.loads(arguments.source.read_text()) if arguments.source else fetch()
    text = render(trim(source))
    if arguments.check:
        same = TARGET.exists() and TARGET.read_text() == text
        print(f"{TARGET.name}: {'current' if same else 'differs; run scripts/dev/trim_openapi.py'}")
        return 0 if same else 1
    TARGET.write_text(text)
    print(f"{TARGET.name}: {len(OPERATIONS)} operations, {len(text):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
