"""The files of a Codex home. Without servers it is hermetic: Codex reads, and reaches nothing.

Keys: https://developers.openai.com/codex/config-reference; tests run `--strict-config` on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlactions.codex import KEY_VARIABLE, Endpoint
from mlactions.codex_home.servers import Server
from mlactions.codex_home.toml import dumps

FIRST_LINE = "# What Codex may do here."
"""How a config.toml of ours begins; any other one is somebody's own and is left alone."""

_PROVIDER = "endpoint"

_COMMENT = f"""\
{FIRST_LINE} A pull request's AGENTS.md, skills and .codex/ count for nothing, commands
# can read and cannot write or reach the network, and no variable of the job reaches them.
"""

_SERVERS_COMMENT = """\

# These run outside the sandbox, with the variables that are named and no others. The tools are
# {tools}; a server that does not start ends the call.
"""

_BASE: dict[str, Any] = {
    "approval_policy": "never",
    "sandbox_mode": "read-only",
    "web_search": "disabled",
    "project_doc_max_bytes": 0,
    "check_for_update_on_startup": False,
    "features": {
        "plugins": False,
        "apps": False,
        "goals": False,
        "image_generation": False,
        # Retried without end, a lost connection would hold the job until its time limit.
        "unbounded_connection_retries": False,
    },
    "agents": {"enabled": False},
    "skills": {"include_instructions": False, "bundled": {"enabled": False}},
    "analytics": {"enabled": False},
    "feedback": {"enabled": False},
    "history": {"persistence": "none"},
    "shell_environment_policy": {"inherit": "core"},
}

ML_DOWNLOAD = "ml-download"
PROFILES: dict[str, dict[str, Any]] = {
    ML_DOWNLOAD: {
        "sandbox_mode": "workspace-write",
        "sandbox_workspace_write": {
            "network_access": True,
            "exclude_slash_tmp": True,
            "exclude_tmpdir_env_var": True,
        },
    }
}
"""What each profile changes. In `ml-download`, and only there, commands reach the network."""

_PROFILE_COMMENT = """\
# Commands may write in the folder Codex works in, and reach the network: to fetch weights and data.
# Whatever they can read they can also send, so never with a pull request's code or a secret nearby.
"""


def home_config(endpoint: Endpoint | None = None, servers: Sequence[Server] = ()) -> str:
    """Return a config.toml without keys: what is secret is passed by the name of its variable.

    codex-action puts its own `model_provider` in front, so a provider is named only for calls
    that we make ourselves.
    """
    document = dict(_BASE)
    if endpoint is not None:
        document = {"model_provider": _PROVIDER, **document}
        document["model_providers"] = {_PROVIDER: _provider(endpoint)}
    text = _COMMENT + dumps(document)
    if servers:
        tables = {server.name: dict(server.table) for server in servers}
        named = [tool for server in servers for tool in server.changing]
        tools = f"those that read, and {', '.join(named)}" if named else "those that read"
        text += _SERVERS_COMMENT.format(tools=tools) + dumps({"mcp_servers": tables})
    return text


_READ_ONLY = "can read and cannot write or"

_WRITING: dict[str, Any] = {
    "sandbox_workspace_write": {
        "network_access": False,
        "exclude_slash_tmp": True,
        "exclude_tmpdir_env_var": True,
    }
}


def writing_config(endpoint: Endpoint | None = None) -> str:
    """Return a config.toml for a call with `--sandbox workspace-write`, without a network."""
    text = home_config(endpoint).replace(_READ_ONLY, "write where Codex works, cannot")
    return f"{text}\n{dumps(_WRITING)}"


def profile_config(name: str) -> str:
    """Return what `NAME.config.toml` holds; `codex exec -p NAME` lays it over config.toml."""
    return _PROFILE_COMMENT + dumps(PROFILES[name])


def profile_file(name: str) -> str:
    """Return the file of a profile. Codex passes over one that is missing without a word."""
    return f"{name}.config.toml"


def _provider(endpoint: Endpoint) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "name": "Responses API",
        "base_url": endpoint.base_url,
        "wire_api": "responses",
        "env_key": KEY_VARIABLE,
    }
    return provider | ({"query_params": dict(endpoint.query)} if endpoint.query else {})
