"""Which servers were asked for, whether this job may have them, and what each needs to start."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlactions.bundle import write_atomic
from mlactions.codex_home.servers import (
    HUB_PACKAGE,
    HUB_TOKEN,
    HUB_URL,
    HUB_VERSION,
    LOOPBACK,
    MLFLOW_CHANGING,
    MLFLOW_READING,
    Server,
    hub_package,
    hub_server,
    mlflow_server,
)
from mlactions.errors import UserError

MLFLOW, HUB, HUB_STDIO = "mlflow", "huggingface", "huggingface-stdio"
NAMES = (MLFLOW, HUB, HUB_STDIO)
URI = "MLFLOW_TRACKING_URI"
SERVERS_FOLDER = "mcp"
"""Below the Codex home: where servers start, and what we write for them."""

OWN_EVENTS = frozenset({"schedule", "workflow_dispatch", "push", "repository_dispatch", "release"})
"""Events whose code is in the repository already, and that who may write to it has set off."""

_PASSWORD = re.compile(r"(?:passw|pwd|token|secret|api_?key)[^=&]*=", re.IGNORECASE)
_DATABASE_PASSWORD = re.compile(r"[\w+]+://[^:/]*:[^@]*@")
"""As SQLAlchemy reads it: a password may hold what ends the host elsewhere."""
_FILES = re.compile(r"(sqlite:///|file://)(?!/)(?P<path>.+)")


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Accept servers we know, each once."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if name not in NAMES:
            raise UserError(
                "bad input", f"`mcp` has {name!r}.", f"Write one a line: {', '.join(NAMES)}."
            )
    if {HUB, HUB_STDIO} <= set(found):
        raise UserError("bad input", f"`mcp` has {HUB} and {HUB_STDIO}.", "Choose one of them.")
    return found


def may_be_strangers(environ: Mapping[str, str]) -> bool:
    """Tell whether this job may run on code that nobody of the repository has accepted yet."""
    own = environ.get("GITHUB_EVENT_NAME", "") in OWN_EVENTS
    return environ.get("GITHUB_ACTIONS") == "true" and not own


def refuse_strangers(what: str, environ: Mapping[str, str], *, base_ref: str = "") -> None:
    """Refuse what holds credentials or reaches the network where a pull request's code lies.

    Raises UserError. An event that is not known to run the repository's own code counts as one
    that does not; `base_ref` says that changes against a base are asked about.
    """
    event = environ.get("GITHUB_EVENT_NAME", "")
    if base_ref:
        about = "this question is about changes since a base commit"
        hint = "Leave `base-ref` out where the code was reviewed."
    elif may_be_strangers(environ):
        about = f"this job was started by the event `{event or 'unknown'}`"
        hint = f"Use it in a job of one of these events: {', '.join(sorted(OWN_EVENTS))}."
    else:
        return
    message = f"{what} is never used with code of a pull request, and {about}."
    raise UserError("refused on a pull request", message, hint)


def check_tools(names: Sequence[str], servers: Sequence[str]) -> tuple[str, ...]:
    """Accept tools of MLflow's server, each by its full name."""
    for name in names:
        if name not in {*MLFLOW_CHANGING, *MLFLOW_READING}:
            raise UserError(
                "bad input",
                f"`mlflow-tools` has {name!r}, which is no tool of MLflow's server.",
                f"Those that change something are: {', '.join(MLFLOW_CHANGING)}.",
            )
    if names and MLFLOW not in servers:
        raise UserError("bad input", "`mlflow-tools` needs `mcp`: mlflow.")
    return tuple(name for name in dict.fromkeys(names) if name not in MLFLOW_READING)


def tracking_uri(given: str, environ: Mapping[str, str], folder: Path) -> str:
    """Return the address for a process that works in another folder, empty if there is none.

    Raises UserError for a password in `given`, which is written into outputs and logs, and in a
    server's address, which MLflow repeats when it fails. A database's may stand in the variable.
    """
    text = given or environ.get(URI, "")
    if holds_password(text) and (given or text.lower().startswith("http")):
        hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
        raise UserError("bad input", "the tracking URI holds a password or token.", hint)
    if found := _FILES.fullmatch(text):
        return f"{found[1]}{(folder / found['path']).resolve()}"
    if text and "://" not in text and not text.startswith("databricks"):
        return (folder / text).resolve().as_uri()
    return text


def holds_password(text: str) -> bool:
    """Tell whether an address may hold a password, so that it must stay in its variable.

    A server's has no place for a query, a fragment or a user alone: there they are tokens.
    """
    try:
        parts = urlsplit(text)
        if parts.scheme in {"http", "https"}:
            return bool(parts.username or parts.password or parts.query or parts.fragment)
        named = parts.password is not None or bool(_PASSWORD.search(unquote(parts.query)))
        return named or bool(_DATABASE_PASSWORD.match(text))
    except ValueError as error:
        raise UserError("bad input", f"`tracking-uri` is no address: {error}.") from None


def make_servers(
    names: Sequence[str], home: Path, environ: Mapping[str, str], *, tools: Sequence[str] = ()
) -> tuple[Server, ...]:
    """Return the servers named, with their folder below `home` written.

    Raises UserError where one could not start: its program or the tracking URI is missing.
    """
    folder = home / SERVERS_FOLDER
    if names:
        folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in names:
        if name == MLFLOW:
            _check_mlflow(environ)
            made.append(mlflow_server(Path(sys.executable), folder, tools))
        elif name == HUB:
            _check_hub(environ)
            made.append(hub_server(token=bool(environ.get(HUB_TOKEN))))
        else:
            shim = folder / "loopback.cjs"
            write_atomic(shim, LOOPBACK)
            made.append(hub_package(_hub_program(environ), folder, shim))
    return tuple(made)


def has_other_hub(environ: Mapping[str, str]) -> bool:
    """Tell whether HF_ENDPOINT names a Hub that the remote MCP server does not ask."""
    address = environ.get("HF_ENDPOINT", "").strip().rstrip("/")
    return address not in {"", "https://huggingface.co", "https://hf.co"}


def _check_hub(environ: Mapping[str, str]) -> None:
    """Refuse a Hub that the server does not ask: it would get the token of the other one."""
    if has_other_hub(environ):
        message = f"`mcp` names {HUB}, which asks {HUB_URL} only; HF_ENDPOINT names another Hub."
        hint = "Leave `mcp` out: what Codex names is looked up at your Hub all the same."
        raise UserError("bad input", message, hint)


def _check_mlflow(environ: Mapping[str, str]) -> None:
    if not environ.get(URI):
        hint = f"Give it as `tracking-uri`, or set {URI}."
        raise UserError("bad input", "`mcp` names mlflow, and no tracking URI is known.", hint)
    _check_there(environ[URI])
    if any(importlib.util.find_spec(name) is None for name in ("mlflow", "fastmcp")):
        raise UserError(
            "not installed",
            "MLflow's MCP server is not in this environment.",
            "Use scripts/run, which installs it, or `pip install 'codex-ml-actions[mcp]'`.",
        )


def _check_there(uri: str) -> None:
    """Refuse a database or folder that is not there: MLflow would make one to read from."""
    parts = urlsplit(uri)
    path = unquote(parts.path) if parts.scheme == "file" else uri.removeprefix("sqlite:///")
    if parts.scheme in {"file", "sqlite"} and not Path(path.partition("?")[0]).exists():
        hint = "Name the one that training writes to."
        raise UserError("bad input", "the tracking URI names what does not exist.", hint, path)


def _hub_program(environ: Mapping[str, str]) -> Path:
    """Return the installed program: what npx would fetch when it starts is nobody's choice."""
    hint = f"Install it before: `npm install -g {HUB_PACKAGE}@{HUB_VERSION}`."
    found = shutil.which("hf-mcp-server", path=environ.get("PATH"))
    if found is None:
        raise UserError("not installed", "there is no `hf-mcp-server` on the PATH.", hint)
    program = Path(found).resolve()
    try:
        about = json.loads((program.parents[2] / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, IndexError):
        about = {}
    if (about.get("name"), about.get("version")) != (HUB_PACKAGE, HUB_VERSION):
        version = f"{about.get('name')} {about.get('version')}"
        raise UserError("not installed", f"{found} is {version}, not {HUB_VERSION}.", hint)
    return Path(found)
