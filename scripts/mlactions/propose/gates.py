"""The gates of a patch: what it may touch, how much, and in which form. Pure.

Each finding refuses the patch. Nothing here asks what the change is good for: lint, tests and a
person do.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from mlactions.evaluate.globs import matches
from mlactions.propose.model import FILE, NOTHING, PROGRAM, Entry, Finding, Rules
from mlactions.propose.testing import added_tests, is_test_file, lost_tests, skips_more
from mlactions.text import plural

MAX_NAMED = 20
"""How many findings of a kind are listed; one refuses as well as a thousand."""

_FORBIDDEN = (
    # A list of what tools keep in their dot files would never be whole.
    ".*",
    # What GitHub and other continuous integration obey.
    *("action.y*ml", "azure-pipelines*", "appveyor*.yml", "bitbucket-pipelines.yml"),
    *("cloudbuild.y*ml", "jenkinsfile*", "codeowners", "dependabot.y*ml"),
    # What agents and editors obey.
    *("agent.md", "agents*.md", "claude*.md", "gemini.md", "qwen.md", "warp.md", "crush.md"),
    *("conventions.md", "copilot-instructions.md", "skill.md"),
)
_STEERING = (
    # What decides which tests are run and how, or runs before any of them.
    *("conftest.py", "sitecustomize.py", "usercustomize.py", "setup.py", "noxfile.py"),
    *("pytest.ini", "pytest.toml", "tox.ini", "tox.toml", "setup.cfg", "pyproject.toml"),
    *("makefile", "*.pth"),
)
_HIDDEN = frozenset(name.casefold() for name in sys.stdlib_module_names if name != "test") | {
    *("pytest", "_pytest", "pluggy", "iniconfig", "coverage", "xdist", "hypothesis", "ruff"),
    *("mypy", "numpy", "scipy", "torch", "torchvision", "lightning", "transformers", "mlflow"),
    *("hydra", "omegaconf", "sklearn", "pandas", "yaml"),
}
"""Modules that checks import, and that a new one in the root would stand in front of."""

PLANS = "plans/"
"""Where the plan of a plan-only task is written."""

_ODD = frozenset('\ufffd*?[]\\"')
"""Characters of globs, and what stands for a byte that is no text."""

_LOCK_FILES = (
    "*.lock",
    "*.lockb",
    "*.lockfile",
    "pylock.toml",
    "pylock.*.toml",
    "conda-lock.y*ml",
    "package-lock.json",
    "pnpm-lock.y*ml",
    "npm-shrinkwrap.json",
    "go.sum",
)


def judge(entries: Sequence[Entry], rules: Rules) -> tuple[Finding, ...]:
    """Return why a patch is refused; nothing where every gate lets it through."""
    if not entries:
        return (Finding("empty", "The patch changes nothing."),)
    found = [finding for entry in entries for finding in _of_entry(entry, rules)]
    return (*_of_size(entries, rules), *found[:MAX_NAMED], *_of_tests(entries, rules))


def judge_again(entries: Sequence[Entry], rules: Rules) -> tuple[Finding, ...]:
    """Judge paths, forms and sizes once more, where the contents before are not at hand."""
    seen = [replace(entry, before=entry.after) for entry in entries]
    return judge(seen, replace(rules, tests=False))


def too_large(size: int, rules: Rules) -> Finding | None:
    """Return the finding for files of so many bytes, before any of them is read."""
    if size <= rules.max_bytes:
        return None
    text = f"The changed files have {size:,} bytes, at most {rules.max_bytes:,} are allowed."
    return Finding("too-large", text)


def _of_size(entries: Sequence[Entry], rules: Rules) -> Iterator[Finding]:
    if len(entries) > rules.max_files:
        files = plural(len(entries), "file")
        text = f"The patch changes {files}, at most {rules.max_files:,} are allowed."
        yield Finding("too-many-files", text)
    lines = sum(entry.added + entry.removed for entry in entries)
    if lines > rules.max_lines:
        text = f"The patch changes {lines:,} lines, at most {rules.max_lines:,} are allowed."
        yield Finding("too-many-lines", text)
    if finding := too_large(sum(entry.bytes for entry in entries), rules):
        yield finding


def _of_entry(entry: Entry, rules: Rules) -> Iterator[Finding]:
    """Yield the findings about one path; the most serious reason for a path comes first."""
    path = entry.path
    if not path.isprintable() or _ODD & set(path) or ".." in PurePosixPath(path).parts:
        text = "A path of the patch cannot be shown, or means something else to other programs."
        yield Finding("odd-path", text, ascii(path)[1:-1])
        return
    yield from itertools.islice(_of_path(entry, rules), 1)
    yield from _of_form(entry)
    if entry.kind == "deleted" and is_test_file(path):
        yield Finding("deletes-test", "It is deleted, and it is a test or belongs to one.", path)
    elif skips_more(entry):
        yield Finding("skips-test", "It skips a test, or expects it to fail.", path)


def _of_path(entry: Entry, rules: Rules) -> Iterator[Finding]:
    path, is_named = entry.path, entry.path in rules.allow
    if _is_among(path, _FORBIDDEN):
        text = "It is obeyed by GitHub, git, another build service, an editor or an agent."
        yield Finding("forbidden-path", text, path)
    if _is_among(path, _LOCK_FILES) and path not in rules.lock_files:
        yield Finding("lock-file", "It is a lock file that `lock-files` does not name.", path)
    if _judges(path, entry) and not is_named:
        text = "Metrics or hypotheses are judged by it: `allow` has to name it by its whole path."
        yield Finding("changes-the-judge", text, path)
    if not _is_allowed(path, rules):
        yield Finding("not-allowed", "No glob of `allow` matches it.", path)
    if _is_among(path, _STEERING) and not is_named:
        text = "It steers what checks run: `allow` has to name it by its whole path."
        yield Finding("steers-checks", text, path)
    if finding := hidden(path, entry.kind):
        yield finding
    if rules.plan_only and not path.lower().endswith(".md"):
        yield Finding("code-in-a-plan", "This task is a plan: it changes Markdown only.", path)
    if rules.plan_only and not path.startswith(PLANS):
        yield Finding("outside-of-plans", f"This task writes into {PLANS} only.", path)


def _of_form(entry: Entry) -> Iterator[Finding]:
    before, after, path = entry.mode_before, entry.mode_after, entry.path
    files = {FILE, PROGRAM}
    if not {before, after} <= {*files, NOTHING}:
        yield Finding("link", "It is a link, or another repository.", path)
    elif after == PROGRAM and before == NOTHING:
        yield Finding("mode", "It is added as a program.", path)
    elif {before, after} == files:
        yield Finding("mode", "Its mode changes.", path)
    elif entry.binary or (after in files and entry.after is None):
        yield Finding("binary", "It is not UTF-8 text.", path)


def _of_tests(entries: Sequence[Entry], rules: Rules) -> Iterator[Finding]:
    kept = [entry for entry in entries if entry.kind != "deleted"]
    if lost := lost_tests(kept):
        names = ", ".join(lost[:MAX_NAMED])
        yield Finding("deletes-test", f"It deletes {plural(len(lost), 'test')}: {names}.")
    if rules.tests and not added_tests(entries):
        yield Finding("no-tests", "The task asks for tests, and the patch adds none.")


def _judges(path: str, entry: Entry) -> bool:
    """Say whether a path holds what a change is judged by: a baseline, or an earlier note."""
    name = PurePosixPath(path).name.casefold()
    is_note = "experiments" in PurePosixPath(path).parts[:-1] and entry.kind != "added"
    return fnmatchcase(name, "*baseline*.y*ml") or fnmatchcase(name, "*baseline*.json") or is_note


def _is_allowed(path: str, rules: Rules) -> bool:
    wanted = [glob for glob in rules.allow if not glob.startswith("!")]
    unwanted = [glob[1:] for glob in rules.allow if glob.startswith("!")]
    return any(allows(glob, path) for glob in wanted) and not any(
        matches(path, glob) for glob in unwanted
    )


def allows(glob: str, path: str) -> bool:
    """Match a glob without a slash with the file's name: a folder's allows nothing."""
    return matches(path if "/" in glob.rstrip("/") else PurePosixPath(path).name, glob)


def hidden(path: str, kind: str, *, folder: str = "") -> Finding | None:
    """Return the finding for a new module that is found before Python's own, or a test tool's.

    `folder` is where the commands of a check start, which is where Python looks first; a test
    runner puts the folder of a test before that.
    """
    inside = PurePosixPath(path.removeprefix(f"{folder}/") if folder else path)
    parts = inside.parts[-2 if inside.name == "__init__.py" else -1 :]
    above = inside.parts[: -len(parts)]
    is_top = not above or is_test_file(PurePosixPath(*above, "x.py").as_posix())
    name = parts[0].removesuffix(".py").casefold() if parts else ""
    if not (kind == "added" and path.endswith(".py") and is_top and name in _HIDDEN):
        return None
    text = "Python would import it in place of its own module of that name, or of a test tool."
    return Finding("hides-module", text, path)


def _is_among(path: str, names: Sequence[str]) -> bool:
    """Match each part of a path: file systems that ignore case would obey `.GitHub` too."""
    parts = [part.casefold().rstrip(". ") for part in PurePosixPath(path).parts]
    return any(fnmatchcase(part, name) for part in parts for name in names)
