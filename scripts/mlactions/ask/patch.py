"""A diff that an answer suggests: held against the repository, which it never touches.

git applies it to an index of our own, with objects of our own, and says what would come of it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlactions.ask.answer import MAX_PATCH
from mlactions.ask.repository import Repository, run_git
from mlactions.escaping import printable

MAX_FILES = 20
_FILE, _NOTHING = "100644", "000000"
_FILES = frozenset({_FILE, "100755"})
_READ_BY_AGENTS = frozenset({".codex", ".agents", "agents.md"})


@dataclass(frozen=True)
class Changed:
    """A file of a diff, from the repository's root, and how many lines come and go."""

    path: str
    added: int
    removed: int


@dataclass(frozen=True)
class CheckedPatch:
    """A suggested diff. `struck` says why it does not hold.

    `text` is git's own form of it where it holds, and what was suggested where it does not.
    """

    text: str
    files: tuple[Changed, ...] = ()
    struck: str = ""


class NoPatchError(Exception):
    """Why a text is no diff that could be taken."""


def check_patch(text: str, repository: Repository) -> CheckedPatch:
    """Try a diff on the files a claim may point at; nothing of the repository is written.

    It may change text files and add new ones. Deleting, renaming, modes, links, binary data, and
    what GitHub, git or an agent obeys are refused.
    """
    try:
        _check_text(text)
        with _trial(repository) as trial:
            trial.apply(text)
            files = trial.changed()
            return CheckedPatch(trial.diff(), files)
    except NoPatchError as error:
        return CheckedPatch(text, struck=str(error))
    except subprocess.TimeoutExpired:
        return CheckedPatch(text, struck="git did not finish with it in time")


def _check_text(text: str) -> None:
    if len(text) > MAX_PATCH:
        raise NoPatchError(f"it has more than {MAX_PATCH:,} characters")
    if "\0" in text:
        raise NoPatchError("it is no text")
    for line in text.splitlines():
        if line.startswith(("GIT binary patch", "Binary files ")):
            raise NoPatchError("it holds binary data")


@dataclass(frozen=True)
class _Trial:
    """An index beside the repository's own; `before` is the tree that it held at first."""

    repository: Repository
    environ: dict[str, str]
    before: str

    def apply(self, text: str) -> None:
        """Apply the diff to the index, wherever its lines are found, exactly as they are."""
        options = ("--cached", "--whitespace=nowarn", f"-p{_strip(text)}")
        data = text.encode() if text.endswith("\n") else text.encode() + b"\n"
        first = self._run("apply", *options, "-", given=data)
        # The counts in a hunk's header are easily wrong; its lines must all be there either way.
        if (
            first.returncode
            and self._run("apply", "--recount", *options, "-", given=data).returncode
        ):
            raise NoPatchError(f"it does not apply: {_reason(first.stderr)}")

    def changed(self) -> tuple[Changed, ...]:
        """Return what changed; raises NoPatchError for what a suggestion may not do."""
        listed = self._must("diff-index", "--cached", "--raw", "--no-renames", "-z", self.before)
        fields = listed.split(b"\0")[:-1]
        if not fields:
            raise NoPatchError("it changes nothing")
        for about, path in zip(fields[::2], fields[1::2], strict=True):
            before, after = about.decode()[1:].split(" ")[:2]
            _check_path(path)
            _check_modes(path.decode(), before, after)
        if len(fields) // 2 > MAX_FILES:
            raise NoPatchError(f"it changes more than {MAX_FILES} files")
        counts = self._must(
            "diff-index", "--cached", "--numstat", "--no-renames", "-z", self.before
        )
        return tuple(_changed(line) for line in counts.decode().split("\0")[:-1])

    def diff(self) -> str:
        """Return the diff in git's own form: it applies to nothing but these files."""
        options = ("--cached", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
        try:
            text = self._must("diff-index", *options, "--abbrev=10", self.before).decode()
        except UnicodeDecodeError:
            raise NoPatchError("it changes a file that is not UTF-8") from None
        if len(text) > MAX_PATCH:
            raise NoPatchError(f"it has more than {MAX_PATCH:,} characters")
        return text

    def _must(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            raise NoPatchError("git cannot say what it changes")
        return done.stdout

    def _run(self, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run_git(self.repository.root, arguments, environ=self.environ, given=given)


@contextmanager
def _trial(repository: Repository) -> Iterator[_Trial]:
    """Give an index that holds what claims are checked against: the commit, or the work tree."""
    with tempfile.TemporaryDirectory(prefix="mlactions-patch-") as name:
        objects = Path(name) / "objects"
        objects.mkdir()
        environ = {
            "GIT_INDEX_FILE": str(Path(name) / "index"),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(_objects_of(repository)),
        }
        steps: list[tuple[str, ...]] = [("read-tree", repository.head)]
        if not repository.commit:
            steps.append(("add", "--update", "."))
        for step in steps:
            if run_git(repository.root, step, environ=environ).returncode:
                raise NoPatchError("git cannot read the repository")
        tree = run_git(repository.root, ("write-tree",), environ=environ).stdout.decode().strip()
        yield _Trial(repository, environ, tree)


def _objects_of(repository: Repository) -> str:
    done = run_git(repository.root, ("rev-parse", "--git-path", "objects"))
    return str((repository.root / done.stdout.decode().rstrip("\n")).resolve())


def _quoted(path: str) -> str:
    """Return one entry of a list of paths that are separated by colons."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _strip(text: str) -> int:
    """Return how many folders stand before each path: `a/` and `b/`, or nothing."""
    named = [line[4:] for line in text.splitlines() if line.startswith("+++ ")]
    return int(all(name.startswith(("b/", '"b/', "/dev/null")) for name in named))


def _check_path(data: bytes) -> None:
    path = data.decode(errors="replace")
    parts = [part.lower() for part in PurePosixPath(path).parts]
    if "\ufffd" in path or not path.isprintable():
        raise NoPatchError("it names a file that cannot be shown")
    if any(part.startswith(".git") for part in parts):
        raise NoPatchError(f"{path} is read by git or GitHub")
    if _READ_BY_AGENTS & set(parts):
        raise NoPatchError(f"{path} is read by agents")


def _check_modes(path: str, before: str, after: str) -> None:
    if after == _NOTHING:
        raise NoPatchError(f"it deletes or moves {path}")
    if after not in _FILES or before not in {*_FILES, _NOTHING}:
        raise NoPatchError(f"{path} is a link or another repository")
    if before == _NOTHING and after != _FILE:
        raise NoPatchError(f"it adds {path} as a program")
    if before not in {_NOTHING, after}:
        raise NoPatchError(f"it changes the mode of {path}")


def _changed(line: str) -> Changed:
    added, removed, path = line.split("\t", 2)
    if added == "-":
        raise NoPatchError(f"{path} is a binary file")
    return Changed(path, int(added), int(removed))


def _reason(said: bytes) -> str:
    """Return git's first complaint on one line."""
    lines = printable(said.decode(errors="replace")).splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    known = {'No valid patches in input (allow with "--allow-empty")': "it is no unified diff"}
    first = (errors or lines or ["git gives no reason"])[0]
    return known.get(first, first)[:300]
