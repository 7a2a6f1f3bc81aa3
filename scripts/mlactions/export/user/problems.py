"""What can go wrong in the user's code, and where in it."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

SHOWN_LINES = 6
"""Lines of source shown before and after the one at fault."""

_OURS = str(Path(__file__).resolve().parent)
_LIBRARIES = tuple(
    str(Path(path).resolve()) for path in {sysconfig.get_path("stdlib"), *sys.path[1:]} if path
)


class BadInput(Exception):  # noqa: N818  # it becomes a UserError, which is no exception's name here
    """Something in the inputs that the user has to write differently."""

    def __init__(
        self, message: str, hint: str = "", *, title: str = "bad input", place: Any = None
    ) -> None:
        super().__init__(message)
        self.title, self.message, self.hint = title, message, hint
        self.place: Place | None = place


class Failed(Exception):  # noqa: N818  # a verdict on the export, not on this program
    """There is no model: the class of the failure, and where it lies."""

    def __init__(self, kind: str, message: str, place: Place | None = None, *, report: str) -> None:
        super().__init__(message)
        self.kind, self.message, self.place, self.report = kind, message, place, report


class Place:
    """A line of a file; `module` is where the model was at that moment."""

    def __init__(self, file: str, line: int, module: str | None = None) -> None:
        self.file, self.line, self.module = file, line, module


class Sources:
    """Tells the user's files from those of libraries; paths are relative to the repository."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._modules: dict[int, str] = {}

    def name_modules(self, model: Any) -> None:
        """Learn the path of every module of the model."""
        self._modules = {id(module): name for name, module in model.named_modules()}

    def relative(self, file: str) -> str | None:
        """Return a file of the repository as a path from its root, None for any other file."""
        try:
            path = Path(file).resolve()
            inside = path.relative_to(self._root)
        except (ValueError, OSError):
            return None
        installed = {"site-packages", "dist-packages"} & set(inside.parts)
        return None if installed or str(path).startswith(_OURS) else inside.as_posix()

    def place_of(self, frames: Iterable[tuple[FrameType, int]]) -> Place | None:
        """Return the innermost line of the repository; frames come innermost first."""
        module = None
        for frame, line in frames:
            first = frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))
            owner = self._modules.get(id(first))  # what is called `self` in most methods
            module = module or owner
            file = self.relative(frame.f_code.co_filename)
            if file is not None:
                return Place(file, line, module or None)
        return None

    def place_of_error(self, error: BaseException) -> Place | None:
        """Return where in the repository an exception came from, looking through its causes."""
        for one in chain(error):
            place = self.place_of(reversed(list(_frames(one.__traceback__))))
            if place is not None:
                return place
        return None

    def place_of_node(self, node: Any) -> Place | None:
        """Return where a node of a traced graph came from: torch keeps its stack as text."""
        module = None
        for path, _ in (node.meta.get("nn_module_stack") or {}).values():
            module = str(path) or module
        lines = str(node.meta.get("stack_trace") or "").splitlines()
        for text in reversed(lines):
            parts = text.strip().split('"')
            if not text.strip().startswith("File") or len(parts) < 3:  # noqa: PLR2004
                continue
            file = self.relative(parts[1])
            if file is not None:
                line = int(parts[2].split("line ", 1)[1].split(",", 1)[0])
                return Place(file, line, _clean(module))
        return None

    def lines(self, place: Place) -> list[dict[str, Any]]:
        """Return the source around a place."""
        text = linecache.getlines(str(self._root / place.file))
        first = max(1, place.line - SHOWN_LINES)
        shown = text[first - 1 : place.line + SHOWN_LINES]
        return [
            {"line": first + offset, "text": line.rstrip("\n")[:500]}
            for offset, line in enumerate(shown)
        ]

    def scrub(self, text: str) -> str:
        """Return text without the paths of this machine."""
        for folder in (str(self._root), *sorted(_LIBRARIES, key=len, reverse=True)):
            text = text.replace(f"{folder}/", "")
        return text


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an exception, the first one first, and last the exception itself."""
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    yield from reversed(causes)


def stack() -> Iterator[tuple[FrameType, int]]:
    """Yield the frames that are running, innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the documented way to a frame
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back


def _frames(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def _clean(module: str | None) -> str | None:
    """Return a module's path without what torch's tracing puts around it."""
    if module is None:
        return None
    parts = [part for part in module.split(".") if part not in {"", "_export_root"}]
    return ".".join(parts[1:] if parts[:1] == ["L['self']"] else parts) or None


def first_line(error: BaseException, limit: int = 600) -> str:
    """Return `TypeError: what was wrong`, on one line, without a full stop.

    SystemExit is told by its call: its text is a bare number.
    """
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r})"[:limit]
    name = type(error).__name__
    return (f"{name}: {text}"[:limit] if text else name).rstrip(".")
