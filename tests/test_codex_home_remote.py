"""The remote Hub MCP server: the real Codex CLI connects to one on loopback, by our config."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlactions.codex import parse_endpoint
from mlactions.codex_home import home_config
from mlactions.codex_home.servers import HUB_READING, HUB_TOKEN, HUB_URL, hub_server
from tests.ask_cases import KEY, codex_cli, codex_path, write
from tests.fakes.mcp import RemoteMcp
from tests.fakes.model import FakeModel, says, uses

TOKEN = "hf_CANARY"
SEARCH = uses("huggingface", "hub_repo_search", query="vit")
JOB = uses("huggingface", "hf_jobs", query="spend")


def call_codex(
    folder: Path, remote: RemoteMcp, model: FakeModel, *, token: str
) -> subprocess.CompletedProcess[str]:
    """Let Codex work with the home that we write, but for the address."""
    server = hub_server(token=bool(token), url=remote.address)
    endpoint = parse_endpoint(model.endpoint, field="endpoint")
    home = write(folder / "home/config.toml", home_config(endpoint, [server])).parent
    environ = {"PATH": codex_path(), "HOME": str(folder), "CODEX_HOME": str(home)}
    environ |= {"CODEX_API_KEY": KEY} | ({HUB_TOKEN: token} if token else {})
    command = ["codex", "exec", "--strict-config", "--skip-git-repo-check", "-m", "scripted-model"]
    return subprocess.run(
        [*command, "hello"],
        executable=codex_cli(),
        stdin=subprocess.DEVNULL,
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_codex_connects_with_the_token_and_calls_what_reads_alone(tmp_path: Path) -> None:
    with (
        RemoteMcp(TOKEN) as remote,
        FakeModel(SEARCH, JOB, says("done"), key=KEY) as model,
    ):
        done = call_codex(tmp_path, remote, model, token=TOKEN)
    assert done.returncode == 0, done.stderr
    assert {item.headers["authorization"] for item in remote.requests} == {f"Bearer {TOKEN}"}
    assert {item.path for item in remote.requests} == {"/mcp"}
    offered = model.requests[0].body["tools"]
    (namespace,) = [tool for tool in offered if tool.get("name") == "mcp__huggingface"]
    assert sorted(tool["name"] for tool in namespace["tools"]) == sorted(HUB_READING)
    assert remote.calls == [("hub_repo_search", {"query": "vit"})], "a job was started"
    assert "acme/vit-tiny" in model.requests[1].tool_outputs[0]
    assert "CANARY" not in "".join(request.everything for request in model.requests)


def test_without_a_token_codex_asks_as_nobody(tmp_path: Path) -> None:
    with RemoteMcp() as remote, FakeModel(SEARCH, says("done"), key=KEY) as model:
        done = call_codex(tmp_path, remote, model, token="")
    assert done.returncode == 0, done.stderr
    assert remote.calls
    assert not any("authorization" in item.headers for item in remote.requests)


@pytest.mark.parametrize("token", ["hf_wrong", ""])
def test_a_token_that_is_refused_ends_the_call(tmp_path: Path, token: str) -> None:
    with RemoteMcp(TOKEN) as remote, FakeModel(says("done"), key=KEY) as model:
        done = call_codex(tmp_path, remote, model, token=token)
    assert done.returncode == 1
    assert "required MCP servers failed to initialize: huggingface" in done.stderr
    assert model.requests == []


def test_the_address_is_hugging_face_s_own() -> None:
    assert hub_server(token=True).table["url"] == HUB_URL == "https://huggingface.co/mcp"
