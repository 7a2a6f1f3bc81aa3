"""Which files are audited: what git knows below the given paths, or what lies there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlactions.audit.model import Skip
from mlactions.errors import UserError
from mlactions.evaluate.git import Git
from mlactions.evaluate.globs import selects

MAX_BYTES = 5 * 1024 * 1024
"""Of one source file. A notebook may hold pictures: eight times that."""

NOTEBOOK_FACTOR = 8
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".onnx", ".pkl", ".joblib")
LOCKS = frozenset(
    {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "conda-lock.yml", "pylock.toml"}
    | {"requirements.lock", "pixi.lock"}
)
_IGNORED = frozenset({"node_modules", "__pycache__", "site-packages"})
_SHELL = (".sh", ".env", ".yml", ".yaml", ".toml", ".sbatch", ".slurm", ".mk")


@dataclass(frozen=True)
class Inventory:
    """Paths relative to `root`, sorted, by what they are; `tracked` says that git knows them."""

    root: Path
    python: tuple[str, ...]
    notebooks: tuple[str, ...]
    requirements: tuple[str, ...]
    projects: tuple[str, ...]
    settings: tuple[str, ...]
    checkpoints: tuple[str, ...]
    locks: tuple[str, ...]
    tests: int
    skipped: tuple[Skip, ...]
    tracked: bool


def take_stock(
    root: Path, paths: Sequence[str], *, exclude: Sequence[str] = (), tests: bool = False
) -> Inventory:
    """Sort the files below `paths` by kind. Raises UserError for a path that is not there.

    Test files are counted and left out, unless `tests`: they draw and load what they like.
    """
    root = root.resolve()
    skipped: list[Skip] = []
    git = Git.find(root)
    known = _tracked(git, root) if git else None
    names = dict.fromkeys(name for path in paths for name in _below(root, path, known, skipped))
    kept = [name for name in sorted(names) if not (exclude and selects(name, tuple(exclude)))]
    inside = [name for name in kept if _is_inside(root, name, skipped)]
    sources = [name for name in inside if name.endswith((".py", ".ipynb"))]
    left_out = [] if tests else [name for name in sources if is_test(name)]
    audited = [name for name in sources if name not in set(left_out)]
    return Inventory(
        root=root,
        python=tuple(name for name in audited if name.endswith(".py")),
        notebooks=tuple(name for name in audited if name.endswith(".ipynb")),
        requirements=tuple(name for name in inside if _is_requirements(name)),
        projects=tuple(name for name in inside if PurePosixPath(name).name == "pyproject.toml"),
        settings=tuple(name for name in inside if _is_setting(name)),
        checkpoints=tuple(name for name in kept if name.lower().endswith(CHECKPOINTS)),
        locks=tuple(name for name in (known or names) if PurePosixPath(name).name in LOCKS),
        tests=len(left_out),
        skipped=tuple(skipped),
        tracked=known is not None,
    )


def is_test(path: str) -> bool:
    """Say whether a file is a test's by the usual names."""
    parts = PurePosixPath(path).parts
    name = parts[-1]
    folder = any(part in {"tests", "test", "testing"} for part in parts[:-1])
    return folder or name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


def _tracked(git: Git, root: Path) -> tuple[str, ...]:
    """Return what git knows below `root`, also links that lead nowhere: they are named."""
    top = git.root.resolve()
    listed = git._lines("ls-files", "--cached", "--others", "--exclude-standard", "-z")  # noqa: SLF001
    paths = ((top / name) for name in dict.fromkeys(listed))
    return tuple(sorted(p.relative_to(root).as_posix() for p in paths if p.is_relative_to(root)))


def _below(
    root: Path, path: str, known: Sequence[str] | None, skipped: list[Skip]
) -> Iterator[str]:
    full = Path(os.path.normpath(root / path))
    if not full.is_relative_to(root):
        hint = f"Name files and folders below {root}, or another `working-directory`."
        raise UserError("bad input", f"`{path}` leads out of the working directory.", hint)
    if not os.path.lexists(full):
        hint = "Name files or folders of the repository."
        raise UserError("bad input", f"there is no `{path}` to audit.", hint)
    name = full.relative_to(root).as_posix()
    if full.is_symlink() or not full.is_dir():
        yield name
    elif known is not None:
        prefix = "" if name == "." else f"{name}/"
        inside = [item for item in known if item.startswith(prefix)]
        # A folder that git ignores was named on purpose.
        yield from inside or _walk(root, full, skipped)
    else:
        yield from _walk(root, full, skipped)


def _walk(root: Path, folder: Path, skipped: list[Skip]) -> Iterator[str]:
    def failed(error: OSError) -> None:
        place = Path(str(error.filename)).relative_to(root).as_posix()
        skipped.append(Skip(place, f"the folder cannot be read ({error.strerror})"))

    for base, folders, names in os.walk(folder, onerror=failed):
        here = Path(base)
        folders[:] = sorted(
            item
            for item in folders
            if not item.startswith(".")
            and item not in _IGNORED
            and not (here / item / "pyvenv.cfg").exists()
        )
        linked = [item for item in folders if (here / item).is_symlink()]
        for item in sorted([*names, *linked]):
            yield (here / item).relative_to(root).as_posix()


def _is_inside(root: Path, name: str, skipped: list[Skip]) -> bool:
    """Name what cannot be audited; other files than ours are nobody's business."""
    path = root / name
    ours = name.endswith((".py", ".ipynb")) or _is_requirements(name) or _is_folder_link(path)
    try:
        real = Path(os.path.realpath(path))
        about = path.stat()
    except (OSError, ValueError):
        if ours and (path.is_symlink() or path.exists()):
            skipped.append(Skip(name, "the link leads nowhere"))
        return False
    if not real.is_relative_to(root):
        if ours:
            skipped.append(Skip(name, "the link leads out of the working directory"))
        return False
    if not stat.S_ISREG(about.st_mode):
        if ours and not _is_folder_link(path):
            skipped.append(Skip(name, "it is no regular file"))
        return False
    limit = MAX_BYTES * (NOTEBOOK_FACTOR if name.endswith(".ipynb") else 1)
    if ours and about.st_size > limit:
        skipped.append(Skip(name, f"it has {about.st_size:,} bytes, more than {limit:,}"))
        return False
    return not path.is_symlink()  # its target is audited under its own name


def _is_folder_link(path: Path) -> bool:
    """Say whether a path is a link to a folder, which may hold anything."""
    return path.is_symlink() and path.is_dir()


def _is_requirements(name: str) -> bool:
    path = PurePosixPath(name)
    if path.suffix == ".txt" and "requirements" in path.name:
        return True
    return path.suffix == ".txt" and path.parent.name == "requirements"


def _is_setting(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in _SHELL or path.name in {"Makefile", "Dockerfile", ".env", "justfile"}
