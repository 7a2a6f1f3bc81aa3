"""Where a Python traceback in a log ends inside the repository."""

from __future__ import annotations

import re
from pathlib import Path

from mlactions.evaluate.records import Place

_FRAME = re.compile(r'^\s*(?:\[[^\]]*\]:?\s*)?File "([^"]{1,1000})", line (\d{1,7})', re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):"
_RAISED = re.compile(r"^(?:\w+\.)*[A-Z]\w*(?:: .*)?$")
_HINT = "Set the environment variable HYDRA_FULL_ERROR=1"
_EXCEPTION = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit|Warning)\b.*$")


def find_place(log: str, *, root: Path, folder: Path) -> Place | None:
    """Return the last traceback frame in a file of the repository, innermost first.

    `root` is the repository, `folder` where the command ran: relative names start there.
    Installed packages below the root (an environment in `.venv`) are not the user's code.
    """
    for match in reversed(list(_FRAME.finditer(log))):
        path = Path(folder, match[1])
        try:
            relative = path.resolve().relative_to(root.resolve())
            inside = path.is_file() and not {"site-packages", ".venv"} & set(relative.parts)
        except (ValueError, OSError, RuntimeError):
            continue
        if inside:
            return Place(relative.as_posix(), max(1, int(match[2])))
    return None


def last_exception(lines: list[str]) -> str:
    """Return the line that says why a program failed, without what is printed after it.

    That is the end of the last traceback, or the last line that names an exception, or the last
    line that says anything. Hydra ends each failure with the same hint about itself.
    """
    said = [line for line in lines if line.strip()]
    if said and said[-1].startswith(_HINT):
        said = [line for line in said[:-1] if not line[0].isspace()] or said
    named = [line for line in _after_traceback(said) if _RAISED.match(line)][:1]
    named = named or [line for line in map(str.strip, said) if _EXCEPTION.match(line)]
    return (named or said or [""])[-1].strip()[:300]


def _after_traceback(said: list[str]) -> list[str]:
    """Return the lines behind the last traceback's frames."""
    starts = [at for at, line in enumerate(said) if line.startswith(_TRACEBACK)]
    return said[starts[-1] + 1 :] if starts else []
