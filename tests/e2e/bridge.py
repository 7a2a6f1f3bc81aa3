"""A copy of this library that act can run.

GitHub resolves `uses: $/actions/x` to the repository the file is in, at the running commit; act
does not know that syntax. The copy says `library/self/actions/x@self` instead, and names repository
and commit where a workflow asks for its own. act refuses files with `cache-mode`, which the copy
leaves out: only GitHub's cache service reads it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SELF, SELF_REF = "library/self", "self"
SELF_SHA = "5" * 40

WORKFLOWS = re.compile(r"(^|/)action\.ya?ml$|^(\.github/)?workflows/[^/]+\.ya?ml$")
OWN_REFERENCE = re.compile(r"(\buses:\s*['\"]?)\$/([^\s'\"},]+)")
CACHE_MODE = re.compile(r"^ *(?:cache-mode|queue):.*\n", re.MULTILINE)
USES = re.compile(r"\buses['\"]?:\s*['\"]?([\w.-]+/[\w.-]+)(?:/[^\s'\"@]+)?@([^\s'\",}#]+)")


@dataclass(frozen=True)
class Library:
    """The copy; `references` are the third-party actions it uses, as (owner/name, ref)."""

    path: Path
    references: frozenset[tuple[str, str]]


def rewrite(text: str) -> str:
    """Replace what only GitHub resolves."""
    text = OWN_REFERENCE.sub(rf"\g<1>{SELF}/\2@{SELF_REF}", CACHE_MODE.sub("", text))
    text = re.sub(r"\bjob\.workflow_repository\b", f"'{SELF}'", text)
    return re.sub(r"\bjob\.workflow_sha\b", f"'{SELF_SHA}'", text)


def references(folder: Path) -> frozenset[tuple[str, str]]:
    """List what the workflows and actions below a folder use of other repositories."""
    files = [path for pattern in ("*.yml", "*.yaml") for path in folder.rglob(pattern)]
    files = [path for path in files if WORKFLOWS.search(path.relative_to(folder).as_posix())]
    return frozenset(match for path in files for match in USES.findall(path.read_text()))


def copy_library(target: Path, source: Path = ROOT) -> Library:
    """Copy what git tracks or would track: no environment, no build output, no history."""
    command = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.check_output([*command, "--exclude-standard"], text=True)
    for name in filter(None, listed.split("\0")):
        original, copy = source / name, target / name
        if not original.is_file():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(original, copy)
        if WORKFLOWS.search(name):
            copy.write_text(rewrite(copy.read_text()))
    return Library(target, references(target))
