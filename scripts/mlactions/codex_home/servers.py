"""The MCP servers a Codex home may name. Each has an allow-list of tools, and those read.

A server runs outside Codex's sandbox: in a folder of its own, with variables passed by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MLFLOW_READING = (
    "search_experiments",
    "get_experiment",
    "list_runs",
    "describe_run",
    "search_traces",
    "get_trace",
    "get_trace_assessment",
    "list_scorers",
)
"""What Codex may call of MLflow's server. It has no search over runs: `analyze` does that."""

MLFLOW_CHANGING = (
    "create_experiment",
    "create_run",
    "delete_experiment",
    "delete_run",
    "delete_trace_assessment",
    "delete_trace_tag",
    "delete_traces",
    "evaluate_traces",
    "link_traces_to_run",
    "log_trace_expectation",
    "log_trace_feedback",
    "register_llm_judge_scorer",
    "rename_experiment",
    "restore_experiment",
    "restore_run",
    "set_trace_tag",
    "update_experiment",
    "update_trace_assessment",
)
"""Its other tools: they write, delete or spend, and are offered only where each one is named."""

MLFLOW_VARIABLES = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_WORKSPACE",
    "DATABRICKS_HOST",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_ID",
    "DATABRICKS_CLIENT_SECRET",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

HUB_URL = "https://huggingface.co/mcp"
HUB_TOKEN = "HF_TOKEN"  # noqa: S105  # a variable's name
HUB_READING = ("hub_repo_search", "hub_repo_details", "hf_fs")
HUB_PACKAGE = "@llmindset/hf-mcp-server"
HUB_VERSION = "0.4.23"
"""The package that our tests start. `@huggingface/mcp-server` of many articles does not exist."""

HUB_VARIABLES = ("DEFAULT_HF_TOKEN", "HF_ENDPOINT")
"""This version takes its token from DEFAULT_HF_TOKEN, not HF_TOKEN.

It is told where the Hub is and asks the one of Hugging Face all the same.
"""

START_SECONDS = 120.0
TOOL_SECONDS = 60.0

_ALWAYS: Mapping[str, Any] = {
    "required": True,  # else Codex does not wait for it, and says nothing when it is missing
    "startup_timeout_sec": START_SECONDS,
    "tool_timeout_sec": TOOL_SECONDS,
}


@dataclass(frozen=True)
class Server:
    """A server: its name in Codex, its configuration, and the variables it is given.

    `changing` are those of its tools that do more than read.
    """

    name: str
    table: Mapping[str, Any]
    variables: tuple[str, ...]
    changing: tuple[str, ...] = ()


def mlflow_server(python: Path, folder: Path, more: Sequence[str] = ()) -> Server:
    """Return MLflow's own server from the environment of `python`, started in `folder`.

    `more` are tools besides the reading ones. None of MLflow's says that it only reads, so Codex
    would refuse all of them unless they were approved here.
    """
    names = (*MLFLOW_VARIABLES, *PROXIES)
    table = {
        "command": str(python),
        "args": ["-I", "-m", "mlflow", "mcp", "run"],
        "cwd": str(folder),
        "env_vars": list(names),
        **_ALWAYS,
        "default_tools_approval_mode": "approve",
        "enabled_tools": [*MLFLOW_READING, *dict.fromkeys(more)],
        "env": {
            "MLFLOW_MCP_TOOLS": "experiments,runs,scorers,traces",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "FASTMCP_CHECK_FOR_UPDATES": "off",
            # Its own patience is longer than a tool call may take: a dead server must be named.
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
            "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        },
    }
    return Server("mlflow", table, names, tuple(dict.fromkeys(more)))


def hub_server(*, token: bool, url: str = HUB_URL) -> Server:
    """Return Hugging Face's remote server; without a token it is asked as nobody."""
    table: dict[str, Any] = {"url": url}
    table |= {"bearer_token_env_var": HUB_TOKEN} if token else {}
    table |= {**_ALWAYS, "enabled_tools": list(HUB_READING)}
    return Server("huggingface", table, (HUB_TOKEN,) if token else ())


def hub_package(program: Path, folder: Path, shim: Path) -> Server:
    """Return the server that runs on this machine; `shim` keeps its port on loopback."""
    names = (*HUB_VARIABLES, *PROXIES)
    table = {
        "command": str(program),
        "cwd": str(folder),
        "env_vars": list(names),
        **_ALWAYS,
        "enabled_tools": list(HUB_READING),
        "env": {
            "WEB_APP_PORT": "0",
            "NODE_OPTIONS": f"--require {json.dumps(str(shim), ensure_ascii=False)}",
        },
    }
    return Server("huggingface", table, names)


LOOPBACK = """\
// Beside its standard input the server opens a web page on every interface, and has no option
// against it: here each port is opened for this machine alone.
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "number" || (typeof first === "string" && /^\\d+$/.test(first))) {
    if (typeof rest[0] === "string") rest.shift();
    return listen.call(this, first, "127.0.0.1", ...rest);
  }
  if (first && typeof first === "object" && "port" in first) {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  return listen.call(this, first, ...rest);
};
"""
