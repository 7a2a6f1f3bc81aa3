"""The real Hub MCP server of the stdio package: Codex starts it, and only this machine hears it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlactions.codex import parse_endpoint
from mlactions.codex_home import Server, home_config
from mlactions.codex_home.request import make_servers
from mlactions.codex_home.servers import HUB_READING
from tests.ask_cases import KEY, codex_cli, codex_path, write
from tests.fakes.model import FakeModel, says

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}}
HELLO |= {"clientInfo": {"name": "test", "version": "1"}}
LISTENS = "0A"
COMMAND = ("codex", "exec", "--strict-config", "--skip-git-repo-check", "-m", "scripted-model")


def the_server(folder: Path) -> Server:
    """Return the server of a home in a folder whose name needs quoting."""
    (server,) = make_servers(["huggingface-stdio"], folder / 'a "home', {"PATH": codex_path()})
    return server


def test_codex_starts_it_and_offers_what_reads(tmp_path: Path) -> None:
    with FakeModel(says("done"), key=KEY) as model:
        endpoint = parse_endpoint(model.endpoint, field="endpoint")
        home = write(tmp_path / "home/config.toml", home_config(endpoint, [the_server(tmp_path)]))
        done = subprocess.run(
            [*COMMAND, "hello"],
            executable=codex_cli(),
            stdin=subprocess.DEVNULL,
            env={
                "PATH": codex_path(),
                "HOME": str(tmp_path),
                "CODEX_HOME": str(home.parent),
                "CODEX_API_KEY": KEY,
                "DEFAULT_HF_TOKEN": "CANARY-TOKEN",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    offered = model.requests[0].body["tools"]
    (namespace,) = [tool for tool in offered if tool.get("name") == "mcp__huggingface"]
    # With a token it has tools that write and spend, too.
    assert sorted(tool["name"] for tool in namespace["tools"]) == sorted(HUB_READING)
    assert "CANARY" not in "".join(request.everything for request in model.requests)


def test_its_web_page_is_for_this_machine_alone(tmp_path: Path) -> None:
    server = the_server(tmp_path)
    given = dict(server.table["env"])
    with started(server, given) as process:
        assert listening(process) == {"127.0.0.1"}
    with started(server, {"WEB_APP_PORT": given["WEB_APP_PORT"]}) as process:
        assert listening(process) - {"127.0.0.1"}, "the shim is no longer needed"


@contextmanager
def started(server: Server, given: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start it and wait until it answers."""
    process = subprocess.Popen(
        [server.table["command"]],
        cwd=server.table["cwd"],
        env={"PATH": codex_path(), "HOME": server.table["cwd"], **given},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        process.stdin.write(json.dumps(hello) + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        yield process
    finally:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str]) -> set[str]:
    """Return the addresses a process listens on, once it does; those of IPv6 as they are."""
    until = time.monotonic() + 30
    while not (found := _listening(process)):
        assert time.monotonic() < until, "it listens nowhere"
        time.sleep(0.05)
    return found


def _listening(process: subprocess.Popen[str]) -> set[str]:
    folder = Path(f"/proc/{process.pid}")
    links = [str(path.readlink()) for path in (folder / "fd").iterdir()]
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in (folder / "net" / name).read_text().splitlines()[1:]
    ]
    mine = [row[1].split(":")[0] for row in rows if row[3] == LISTENS and row[9] in sockets]
    return {_dotted(address) if len(address) == 8 else address for address in mine}


def _dotted(address: str) -> str:
    """Read an IPv4 address as the kernel writes it: hexadecimal, the last byte first."""
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
