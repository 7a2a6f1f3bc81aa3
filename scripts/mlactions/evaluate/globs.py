"""Globs over paths as git names them, for files that exist and for those that are gone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from mlactions.errors import UserError

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@cache
def _pattern(glob: str, inside: str = "(?:/.*)?") -> re.Pattern[str]:
    """Translate: `**` crosses folders, `*` and `?` do not; a folder means all that is in it."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[!^]?\]?[^\]]*\])", glob.rstrip("/"))
    text = "".join(_part(part) for part in parts)
    return re.compile(f"{text}{inside}", re.DOTALL)


def _part(part: str) -> str:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    if part in known:
        return known[part]
    if part.startswith("[") and part.endswith("]") and len(part) > 2:  # noqa: PLR2004
        inner = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
        return f"(?![/])[{'^' + inner[1:] if inner[0] in '!^' else inner}]"
    return re.escape(part)


def matches(path: str, glob: str, *, folder: str = "") -> bool:
    """Say whether a path of the repository matches a glob written in `folder`.

    As in .gitignore: without a slash it matches a name at any depth, a leading slash means the
    repository's root. `folder` and `path` are relative to that root.
    """
    if "/" not in glob.rstrip("/"):
        return any(_pattern(glob).fullmatch(part) for part in path.split("/"))
    if glob.startswith("/"):
        return _pattern(glob.lstrip("/")).fullmatch(path) is not None
    inside = path.removeprefix(f"{folder}/") if folder else path
    if folder and inside == path:
        return False
    return _pattern(glob.removeprefix("./")).fullmatch(inside) is not None


def find(folder: Path, globs: Sequence[str], *, field: str, required: bool = True) -> list[str]:
    """Return the files below `folder` that globs match, as sorted POSIX paths.

    A glob behind `!` takes files away again. Raises UserError for a glob that leads out of the
    folder and, where `required`, for one that matches nothing: a moved folder must not turn a
    check into a check of nothing.
    """
    found: set[str] = set()
    unwanted = [glob.removeprefix("!") for glob in globs if glob.startswith("!")]
    for glob in globs:
        if glob.startswith("!"):
            continue
        pattern = PurePosixPath(glob)
        if pattern.is_absolute() or ".." in pattern.parts:
            raise UserError(
                "bad input", f"`{field}` has {glob!r}, which leads out of the working directory."
            )
        try:
            paths = list(folder.glob(str(pattern)))
            files = [path for path in paths if path.is_file()]
        except (ValueError, NotImplementedError) as error:
            raise UserError("bad input", f"`{field}` has {glob!r}: {error}.") from None
        if required and not files:
            raise UserError(
                "bad input",
                f"`{field}` has {glob!r}, which matches no file in {folder}.",
                "Globs are relative to `working-directory`.",
            )
        dangling = [path for path in paths if path.is_symlink() and not path.exists()]
        found.update(path.relative_to(folder).as_posix() for path in (*files, *dangling))
    wanted = sorted(path for path in found if not any(_is(path, glob) for glob in unwanted))
    for path in wanted:
        _check(folder, path, field)
    return wanted


def selects(path: str, globs: Sequence[str]) -> bool:
    """Say whether `find` would return a path below its folder, also when it is gone."""
    wanted = (str(PurePosixPath(glob)) for glob in globs if not glob.startswith("!"))
    unwanted = (glob.removeprefix("!") for glob in globs if glob.startswith("!"))
    return any(_pattern(glob, "").fullmatch(path) for glob in wanted) and not any(
        _is(path, glob) for glob in unwanted
    )


def _check(folder: Path, path: str, field: str) -> None:
    """Refuse a name that would break a list of names, and a link to nothing: no file is skipped."""
    hint = f"Mend it, or leave it out: a glob behind `!` in `{field}`."
    if not (folder / path).is_file():
        message = f"`{field}` matches {path!r}, a link that leads nowhere."
    elif _CONTROL.search(path):
        message = f"`{field}` matches {path!r}, whose name holds a line break or control character."
    elif path.encode(errors="replace").decode() != path:
        message = f"`{field}` matches {path!r}, whose name is not UTF-8."
    else:
        return
    raise UserError("bad input", message, hint)


def _is(path: str, glob: str) -> bool:
    return matches(path, glob if "/" not in glob else f"/{glob.lstrip('/')}")
