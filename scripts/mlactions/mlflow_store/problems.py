"""What MLflow says no to, and how that is told; the same over REST and through its client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from mlactions.mlflow_store.model import State, StoreError

MISSING = "RESOURCE_DOES_NOT_EXIST"
_INVALID = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
MAX_MESSAGE = 300
MAX_NAMES = 8
MAX_EXPERIMENTS = 1000
"""As many names are read where one is not found."""


@dataclass(eq=False)
class Refused(Exception):  # noqa: N818  # what the server said, not yet what it means
    """MLflow understood the request and said no: its error code, its message."""

    code: str
    message: str


def refusal(refused: Refused, uri: str, kind: str = "", name: str = "") -> StoreError:
    """Return the error for a refusal; `kind` and `name` say what was asked for."""
    # MLflow's client calls an id of another form than its own invalid; its server, missing.
    if kind and (refused.code == MISSING or (kind == "run" and refused.code in _INVALID)):
        return missing(kind, name, uri)
    message = f"{uri}: {cut(refused.message)}."
    if refused.code in _INVALID:
        return StoreError("MLflow does not understand", message, state="bad-request")
    if refused.code in {"PERMISSION_DENIED", "UNAUTHENTICATED"}:
        hint = "Check what the credentials may read."
        return StoreError("no access to MLflow", message, hint, state="unauthorized")
    return StoreError("MLflow refused", message, state="failed")


def missing(kind: str, name: str, uri: str, there: Sequence[str] = ()) -> StoreError:
    """Return the error for something the store does not have; `there` is what it has instead."""
    states: Mapping[str, State] = {
        "experiment": "no-experiment",
        "run": "no-run",
        "model": "no-model",
        "version": "no-version",
        "alias": "no-alias",
    }
    hint = "Check the name, and that the tracking URI leads to the right server."
    if there:
        hint = f"There {'is' if len(there) == 1 else 'are'} {listed(name, there)}."
    return StoreError(
        f"no such {kind}", f"{uri} has no {kind} {name!r}.", hint, None, None, states[kind]
    )


def listed(wanted: str, names: Sequence[str]) -> str:
    """Return names that exist, the most similar first, as people list them."""
    close = get_close_matches(wanted, names, MAX_NAMES, 0.5)
    order = [*close, *(name for name in names if name not in close)]
    shown = [f"`{cut(name.replace('`', ''))}`" for name in order[:MAX_NAMES]]
    if len(order) > MAX_NAMES:
        shown.append(f"{len(order) - MAX_NAMES} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def deleted(kind: str, name: str, uri: str) -> StoreError:
    """Return the error for something that is in MLflow's bin."""
    hint = f"`mlflow {kind}s restore` brings it back."
    return StoreError(
        f"deleted {kind}", f"{kind} {name!r} of {uri} was deleted.", hint, state="deleted"
    )


def quoted(value: str) -> str:
    """Quote a value for MLflow's filters, which know no escapes.

    Raises StoreError for a value with both kinds of quotes.
    """
    if "'" not in value:
        return f"'{value}'"
    if '"' in value:
        message = f"{value!r} holds both kinds of quotes, which MLflow's filters cannot express."
        raise StoreError("bad input", message, state="bad-request")
    return f'"{value}"'


def cut(text: str) -> str:
    """Return a foreign message on one line, without its final stop, as long as it may get."""
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"
