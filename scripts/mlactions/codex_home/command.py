"""The `codex-home` command: a home for people who call Codex themselves."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from mlactions.bundle import write_atomic
from mlactions.codex import KEY_VARIABLE, sandbox_fault
from mlactions.codex_home.config import (
    FIRST_LINE,
    PROFILES,
    home_config,
    profile_config,
    profile_file,
)
from mlactions.codex_home.request import (
    MLFLOW,
    URI,
    check_names,
    check_tools,
    holds_password,
    make_servers,
    refuse_strangers,
)
from mlactions.codex_home.request import (
    tracking_uri as absolute_uri,
)
from mlactions.codex_home.servers import Server
from mlactions.environment import caller_environment
from mlactions.errors import Exit, UserError
from mlactions.runner import Annotation, Runner
from mlactions.schema import read_text
from mlactions.settings import lines_option, option

_LOGIN = "auth.json"
"""What `codex login` leaves in a home."""

_CREDENTIALS = ("_USERNAME", "_PASSWORD", "_TOKEN")


@dataclass(frozen=True)
class Home:
    """What was written, and what its caller must know."""

    folder: Path
    servers: tuple[Server, ...]
    profile: str
    uri: str


@click.command(name="codex-home")
@option("--out", required=True, type=Path, help="Folder for the home; give it as CODEX_HOME.")
@lines_option("--mcp", help="MCP server: mlflow, huggingface or huggingface-stdio; repeatable.")
@option("--tracking-uri", default="", help="Where MLflow is; MLFLOW_TRACKING_URI if empty.")
@lines_option("--mlflow-tools", help="A tool of MLflow's server that changes something.")
@option("--profile", default="", help="ml-download: commands may use the network and write.")
@click.pass_obj
def command(
    runner: Runner,
    /,
    *,
    out: Path,
    mcp: tuple[str, ...],
    tracking_uri: str,
    mlflow_tools: tuple[str, ...],
    profile: str,
) -> int:
    """Write a Codex home for calls of your own: Codex reads, and reaches only what you name.

    It holds no keys: log in with `CODEX_HOME=FOLDER codex login`, or set CODEX_API_KEY.
    """
    folder = out.resolve()
    home = _write(runner, folder, mcp, uri=tracking_uri, tools=mlflow_tools, profile=profile)
    fault = sandbox_fault(runner.environ)
    if fault:
        message = f"Codex's sandbox cannot start here, so its commands will fail: {fault}."
        runner.annotate(Annotation("warning", message, "codex-home"))
    runner.output("codex-home", str(home.folder))
    runner.say(f"Codex home: {home.folder}\n")
    runner.say(how_to_call(home, caller_environment(runner.environ)))
    return Exit.PASS


def _write(
    runner: Runner,
    folder: Path,
    mcp: tuple[str, ...],
    *,
    uri: str,
    tools: tuple[str, ...],
    profile: str,
) -> Home:
    names = check_names(mcp)
    more = check_tools(tools, names)
    environ = caller_environment(runner.environ)
    if profile and profile not in PROFILES:
        hint = f"There is {', '.join(PROFILES)}."
        raise UserError("bad input", f"`profile` is {profile!r}.", hint)
    if names or profile:
        what = f"the profile {profile}" if profile else "an MCP server"
        refuse_strangers(what, runner.environ)
    _check_own(folder)
    found = absolute_uri(uri, environ, Path.cwd()) if MLFLOW in names else ""
    servers = make_servers(names, folder, {**environ, URI: found}, tools=more)
    write_atomic(folder / "config.toml", home_config(servers=servers))
    for name in PROFILES:
        if name == profile:
            write_atomic(folder / profile_file(name), profile_config(name))
        else:
            (folder / profile_file(name)).unlink(missing_ok=True)
    return Home(folder, servers, profile, found)


def _check_own(folder: Path) -> None:
    """Refuse the home of somebody's own Codex: its settings would be lost."""
    config = folder / "config.toml"
    if config.is_file() and not read_text(config).startswith(FIRST_LINE):
        message = "`out` holds a config.toml that is not ours."
        raise UserError("bad input", message, "Name a new folder.", file=str(config))


def how_to_call(home: Home, environ: Mapping[str, str]) -> str:
    """Return what a person types; a profile's file is looked for, because Codex does not."""
    folder = shlex.quote(str(home.folder))
    lines = []
    if not (environ.get(KEY_VARIABLE) or (home.folder / _LOGIN).exists()):
        lines += ["# It has no login, whoever is logged in elsewhere. Once, or set CODEX_API_KEY:"]
        lines += [f"CODEX_HOME={folder} codex login", "# Then:"]
    lines.append(f"export CODEX_HOME={folder}")
    if home.uri and not holds_password(home.uri):
        lines.append(f"export {URI}={shlex.quote(home.uri)}")
    secret = [
        name
        for server in home.servers
        for name in server.variables
        if name.endswith(_CREDENTIALS) and not name.startswith("DATABRICKS")
    ]
    if secret:
        lines.append(f"# Set, if a server asks for credentials: {', '.join(secret)}.")
    how, question = "--sandbox read-only", "Which run was best, and why?"
    if home.profile:
        how, question = f"-p {home.profile}", "Fetch the data that configs/data.yaml names."
    call = f'codex exec --strict-config {how} -C . "{question}"'
    if home.profile:
        call = f'test -f "$CODEX_HOME/{profile_file(home.profile)}" && {call}'
    return "\n".join([*lines, "# `-C` is the folder that Codex works in:", call])
