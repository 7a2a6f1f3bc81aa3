"""Copy files into the artifact store, by the rules of actions/upload-artifact."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import NoReturn

FORBIDDEN = re.compile(r'["<>:|*?\r\n\\/]')


def stop(message: str) -> NoReturn:
    """End the step as a failure."""
    print(f"::error::{message}")
    raise SystemExit(1)


def matches(pattern: str) -> set[Path]:
    """Files that a line names: a file, all of a folder, or a pattern."""
    found = set()
    absolute = os.path.join(os.environ["GITHUB_WORKSPACE"], os.path.expanduser(pattern))  # noqa: PTH111, PTH118 - glob takes text
    for name in glob.glob(absolute, recursive=True, include_hidden=True):  # noqa: PTH207 - `**` with hidden
        path = Path(name)
        found |= {item for item in path.rglob("*") if item.is_file()} if path.is_dir() else {path}
    return found


def search(lines: list[str], *, hidden: bool) -> tuple[Path, list[Path]]:
    """Return the common root and the files, in order."""
    wanted = [line for line in lines if not line.startswith("!")]
    files = set().union(*(matches(line) for line in wanted))
    files -= set().union(set(), *(matches(line[1:]) for line in lines if line.startswith("!")))
    root = common_root(wanted, files)
    if not hidden:
        files = {
            file
            for file in files
            if not any(part.startswith(".") for part in file.relative_to(root).parts)
        }
    return root, sorted(files)


def common_root(lines: list[str], files: set[Path]) -> Path:
    """One line: the part before its first wildcard; several: what their parts have in common."""
    starts = []
    for line in lines:
        literal = re.split(r"[*?\[]", line)[0]
        path = Path(os.environ["GITHUB_WORKSPACE"]) / Path(literal).expanduser()
        whole = literal == line and not path.is_file()
        starts.append(path if whole or literal.endswith("/") else path.parent)
    return Path(os.path.commonpath(starts)) if files else Path("/")


def store(target: Path, root: Path, files: list[Path]) -> str:
    """Copy the content, not the mode, as a zip of GitHub's does; return the digest."""
    digest = hashlib.sha256()
    for file in files:
        copy = target / file.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        digest.update(str(copy.relative_to(target)).encode() + copy.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Upload, or say why not."""
    environment = os.environ
    name = environment["NAME"]
    if not name or FORBIDDEN.search(name):
        stop(f"The artifact name is not valid: {name!r}")
    retention = environment["RETENTION_DAYS"]
    if retention and not (retention.isdigit() and int(retention) <= 90):
        stop(f"retention-days must be a whole number up to 90, not {retention!r}")
    lines = [line.strip() for line in environment["PATTERNS"].splitlines() if line.strip()]
    root, files = search(lines, hidden=environment["INCLUDE_HIDDEN_FILES"] == "true")
    if not files:
        message = f"No files were found with the provided path: {environment['PATTERNS']}"
        if environment["IF_NO_FILES_FOUND"] == "error":
            stop(message)
        print(message if environment["IF_NO_FILES_FOUND"] == "ignore" else f"::warning::{message}")
        return
    run = Path(environment["MLACTIONS_TEST_ARTIFACTS"]) / environment["GITHUB_RUN_ID"]
    target = run / name
    if target.exists():
        if environment["OVERWRITE"] != "true":
            stop(
                "Failed to CreateArtifact: Received non-retryable error: Failed request: "
                "(409) Conflict: an artifact with this name already exists on the workflow run"
            )
        shutil.rmtree(target)
    digest = store(target, root, files)
    print(f"Artifact {name} has {len(files)} files below {root}", file=sys.stderr)
    with Path(environment["GITHUB_OUTPUT"]).open("a") as output:
        output.write(f"artifact-id={len(list(run.iterdir()))}\nartifact-digest={digest}\n")
        output.write(f"artifact-url={environment['GITHUB_SERVER_URL']}/artifacts/{name}\n")


if __name__ == "__main__":
    main()
