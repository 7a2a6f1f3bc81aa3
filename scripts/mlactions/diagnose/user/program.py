"""The program: a request in, one answer per probe out. Each probe starts from a fresh set-up."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

STAGE = "[probe]"


class BadInputError(Exception):
    """Something about the user's set-up that its author can mend."""

    def __init__(self, title: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.title, self.message, self.hint = title, message, hint


def main(path: Path) -> None:
    """Answer one request; whatever goes wrong is an answer too."""
    request = json.loads(path.read_text(encoding="utf-8"))
    answers: dict[str, Any] = {}
    answer: dict[str, Any] = {"status": "ok", "probes": answers}
    try:
        _need_torch()
        factory = _find(request["setup"])
        for name in request["probes"]:
            print(f"{STAGE} {name}", flush=True)
            answers[name] = _probed(name, factory, request)
            _write(path, answer)
    except BadInputError as problem:
        answer |= {
            "status": "bad-input",
            "title": problem.title,
            "message": problem.message,
            "hint": problem.hint,
        }
    _write(path, answer)


def _write(path: Path, answer: Mapping[str, Any]) -> None:
    temporary = path.with_name("response.tmp")
    temporary.write_text(json.dumps(_plain(answer), allow_nan=False), encoding="utf-8")
    temporary.replace(path.with_name("response.json"))


def _plain(value: Any) -> Any:
    """Return JSON: NaN and infinity, which it has no words for, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _probed(name: str, factory: Callable[..., Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """Run one probe; one that fails says so, and the others still run."""
    import torch

    from .items import NotApplicableError
    from .probes import PROBES
    from .setup import Made

    torch.manual_seed(0)  # the same answer each time
    try:
        made = Made.of(factory(**request["setup_arguments"]), request["setup"])
    except BadInputError:
        raise
    except Exception as error:
        traceback.print_exc()
        hint = "Call it in that Python with the same arguments, and mend what it says."
        message = f"`{request['setup']}` raised {_first_line(error)}."
        raise BadInputError("the set-up raised", message, hint) from error
    try:
        return {"outcome": "measured", **PROBES[name](made, request)}
    except NotApplicableError as why:
        return {"outcome": "not-applicable", "why": str(why)}
    except Exception as error:  # noqa: BLE001  # a model of the user's may raise anything
        traceback.print_exc()
        return {"outcome": "failed", "why": _first_line(error)}


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + text[0][:300] if text else ''}"


def _need_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        name, hint = Path(sys.executable).name, "Name the Python that trains the model."
        raise BadInputError("missing package", f"torch is not installed for {name}.", hint)


def _find(target: str) -> Callable[..., Any]:
    module_name, _, name = target.partition(":")
    hint = "Write package.module:function as it is imported from the working directory."
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        message = f"`setup` is `{target}`, and `{error.name}` cannot be imported."
        raise BadInputError("no such module", message, hint) from error
    except Exception as error:
        traceback.print_exc()
        message = f"`setup` is `{target}`, and importing it raised {_first_line(error)}."
        raise BadInputError("import failed", message) from error
    found = getattr(module, name, None)
    if not callable(found):
        raise BadInputError("no such function", f"`{module_name}` has no function `{name}`.", hint)
    return found  # type: ignore[no-any-return]  # whatever it is, it can be called
