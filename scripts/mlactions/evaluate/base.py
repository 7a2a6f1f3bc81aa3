"""The merge base's side: a second work tree outside the caller's, in the same environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlactions.errors import UserError
from mlactions.evaluate.evaluations import Checkout
from mlactions.evaluate.git import Git


@contextmanager
def base_checkout(
    git: Git,
    commit: str,
    *,
    folder: Path,
    environ: Mapping[str, str],
    imports_from: Sequence[str],
    share: Sequence[str],
) -> Iterator[Checkout]:
    """Check the merge base out for as long as its evaluations run.

    `folder` is the working directory in the caller's checkout, `imports_from` the user's
    `sys.path`, `share` the untracked paths that both sides read.
    """
    root = git.root.resolve()
    with (
        tempfile.TemporaryDirectory(prefix="mlactions-base-") as parent,
        git.worktree(commit, Path(parent) / "checkout") as checkout,
    ):
        other = checkout.resolve()
        work = other / folder.relative_to(root)
        if not work.is_dir():
            raise UserError("no base", "the working directory does not exist at the base.")
        link_shared(folder, work, share)
        yield Checkout(other, work, moved_environment(environ, root, other, imports_from))


def link_shared(source: Path, target: Path, names: Sequence[str]) -> None:
    """Link untracked files and folders into the base's work tree; what it has itself, it keeps.

    Raises UserError for a name that leads out of the working directory or that is not there.
    """
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError("bad input", f"`share` has {name!r}, which leads out of the folder.")
        found = sorted(source.glob(name))
        if not found:
            raise UserError("bad input", f"`share` has {name!r}, which matches nothing.")
        for path in found:
            link = target / path.relative_to(source)
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)


def moved_environment(
    environ: Mapping[str, str], root: Path, other: Path, imports_from: Sequence[str]
) -> dict[str, str]:
    """Return the environment for the base: what Python imports from the head's checkout moves too.

    An editable install points into the caller's checkout; without this the base would measure the
    head's code. PYTHONPATH comes before such paths.
    """
    given = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    installed = [path for path in imports_from if _inside(path, root) and path not in given]
    paths = [_moved(path, root, other) for path in (*given, *installed)]
    paths = [path for path in dict.fromkeys(paths) if "site-packages" not in path]
    if not paths:
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(paths)}


def _inside(path: str, root: Path) -> bool:
    return Path(path).is_absolute() and Path(path).resolve().is_relative_to(root)


def _moved(path: str, root: Path, other: Path) -> str:
    if not _inside(path, root):
        return path
    return str(other / Path(path).resolve().relative_to(root))
