"""`codex-home`: the servers and profiles a home may name, held against the Codex CLI itself."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlactions.__main__ import run
from mlactions.codex import Endpoint
from mlactions.codex_home import home_config
from mlactions.codex_home.config import PROFILES, profile_config
from mlactions.codex_home.request import NAMES, check_names, make_servers, tracking_uri
from mlactions.codex_home.servers import (
    HUB_PACKAGE,
    HUB_READING,
    HUB_VERSION,
    MLFLOW_CHANGING,
    MLFLOW_READING,
    Server,
    hub_package,
    hub_server,
    mlflow_server,
)
from mlactions.codex_home.toml import dumps
from mlactions.errors import UserError
from mlactions.runner import Runner
from tests.ask_cases import codex_cli, codex_path, write
from tests.fakes.model import FakeModel, runs, says

NOBODY = ("--config", 'model_provider="nope"')
STRANGE = (
    "pull_request",
    "pull_request_target",
    "workflow_run",
    "issue_comment",
    "merge_group",
    "",
)
OWN = ("schedule", "workflow_dispatch", "push")
URI = "http://127.0.0.1:5000"
ODD = Path("/opt/a b/\"ü\\'#\n")
SERVERS = (
    mlflow_server(ODD / "python", ODD),
    mlflow_server(Path("/env/bin/python"), Path("/x"), MLFLOW_CHANGING),
    hub_server(token=True),
    hub_server(token=False),
    hub_package(ODD / "hf-mcp-server", ODD, ODD / "loopback.cjs"),
)
SETS = [
    servers
    for count in range(3)
    for servers in itertools.combinations(SERVERS, count)
    if len({server.name for server in servers}) == count
]
ENDPOINT = Endpoint("https://team.example/v1", (("a'b", '"c\n'),))


def home(folder: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run `mlactions codex-home`."""
    stream = StringIO()
    variables = {"PATH": codex_path(), "RUNNER_ENVIRONMENT": "github-hosted", **environ}
    runner = Runner(environ=variables, stream=stream)
    return run(["codex-home", "--out", str(folder), *arguments], runner), stream.getvalue()


def said_by_codex(folder: Path, *more: str) -> str:
    """Let the CLI read a home; an unknown provider stops it once all of the home is accepted."""
    done = subprocess.run(
        [codex_cli(), "exec", "--strict-config", "--skip-git-repo-check", *more, *NOBODY, "hello"],
        stdin=subprocess.DEVNULL,
        env={"PATH": codex_path(), "HOME": str(folder), "CODEX_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("servers", SETS, ids=lambda s: "+".join(x.name for x in s) or "none")
@pytest.mark.parametrize("endpoint", [None, ENDPOINT])
def test_codex_accepts_every_home_that_can_be_written(
    tmp_path: Path, servers: Sequence[Server], endpoint: Endpoint | None
) -> None:
    text = home_config(endpoint, servers)
    found = tomllib.loads(text).get("mcp_servers", {})
    assert found == {server.name: dict(server.table) for server in servers}
    write(tmp_path / "config.toml", text)
    assert "Model provider `nope` not found" in said_by_codex(tmp_path)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
TABLES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(
        TEXTS, TEXTS | st.booleans() | st.integers() | st.lists(TEXTS, max_size=3), max_size=3
    ),
    lambda inner: st.dictionaries(TEXTS, inner | TEXTS, max_size=3),
    max_leaves=6,
)


@given(document=TABLES)
def test_what_is_written_is_read_back(document: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(document)) == document


@settings(max_examples=3, deadline=None)
@given(folder=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_codex_accepts_any_folder(tmp_path_factory: pytest.TempPathFactory, folder: str) -> None:
    path = tmp_path_factory.mktemp("home")
    servers = (mlflow_server(Path("/") / folder, Path("/") / folder),)
    write(path / "config.toml", home_config(ENDPOINT, servers))
    assert "Model provider `nope` not found" in said_by_codex(path)


@pytest.mark.parametrize("name", PROFILES)
def test_codex_accepts_every_profile(tmp_path: Path, name: str) -> None:
    code, _ = home(tmp_path, "--profile", name)
    assert code == 0
    assert "Model provider `nope` not found" in said_by_codex(tmp_path, "-p", name)
    write(tmp_path / f"{name}.config.toml", profile_config(name) + "nonsense = 1\n")
    assert "nonsense" in said_by_codex(tmp_path, "-p", name)


def test_only_the_profile_opens_the_network(tmp_path: Path) -> None:
    home(tmp_path, "--mcp", "huggingface")
    assert "network_access" not in (tmp_path / "config.toml").read_text()
    assert not (tmp_path / "ml-download.config.toml").exists()
    code, said = home(tmp_path, "--profile", "ml-download")
    assert code == 0
    profile = tomllib.loads((tmp_path / "ml-download.config.toml").read_text())
    assert profile["sandbox_workspace_write"]["network_access"] is True
    assert 'test -f "$CODEX_HOME/ml-download.config.toml" && codex exec --strict-config -p' in said
    home(tmp_path)
    assert not (tmp_path / "ml-download.config.toml").exists(), "it was not asked for again"


REACH = """\
python3 - <<'END'
import pathlib, socket
for name in ("here.bin", "{outside}/there.bin", "/tmp/anywhere.bin"):
    try:
        pathlib.Path(name).write_text("x")
        print("WROTE", name)
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=5).close()
    print("REACHED")
except OSError:
    pass
END
"""


@pytest.mark.parametrize(
    ("more", "seen"),
    [(("--sandbox", "read-only"), []), (("-p", "ml-download"), ["WROTE here.bin", "REACHED"])],
)
def test_what_commands_can_do(tmp_path: Path, more: Sequence[str], seen: Sequence[str]) -> None:
    """In the profile they write where Codex works and reach the network; without it, neither."""
    assert home(tmp_path / "home", "--profile", "ml-download")[0] == 0
    (tmp_path / "work").mkdir()
    with FakeModel(runs("placeholder"), says("done")) as model:
        model.turns[0] = runs(REACH.format(outside=tmp_path, port=model.port))
        config = tmp_path / "home/config.toml"
        provider = f'[model_providers.p]\nname = "p"\nbase_url = "{model.url}/v1"\n'
        config.write_text(f'model_provider = "p"\n{config.read_text()}\n{provider}')
        command = ["codex", "exec", "--strict-config", "--skip-git-repo-check", *more]
        done = subprocess.run(
            [*command, "-m", "scripted-model", "-C", str(tmp_path / "work"), "fetch"],
            executable=codex_cli(),
            stdin=subprocess.DEVNULL,
            env={"PATH": codex_path(), "HOME": str(tmp_path), "CODEX_HOME": str(config.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told = model.requests[-1].tool_outputs[0]
    assert [line for line in told.splitlines() if line.startswith(("WROTE", "REACHED"))] == seen


def test_nothing_that_changes_anything_is_offered_unless_it_is_named(tmp_path: Path) -> None:
    def tools() -> list[str]:
        document = tomllib.loads((tmp_path / "config.toml").read_text())
        found: list[str] = document["mcp_servers"]["mlflow"]["enabled_tools"]
        return found

    given = ("--mcp", "mlflow", "--tracking-uri", URI)
    assert home(tmp_path, *given)[0] == 0
    assert tools() == list(MLFLOW_READING)
    assert home(tmp_path, *given, "--mlflow-tools", "set_trace_tag")[0] == 0
    assert tools() == [*MLFLOW_READING, "set_trace_tag"]
    text = " ".join((tmp_path / "config.toml").read_text().split("\n# "))
    assert "The tools are those that read, and set_trace_tag;" in text
    code, said = home(tmp_path, *given, "--mlflow-tools", "*")
    assert code == 2
    assert "delete_run" in said


def test_no_secret_and_no_address_is_in_the_home(tmp_path: Path) -> None:
    secrets = {"MLFLOW_TRACKING_PASSWORD": "CANARY-1", "HF_TOKEN": "CANARY-2"}
    uri = "postgresql://user:CANARY-3@db/mlflow"
    names = ("--mcp", "mlflow", "--mcp", "huggingface")
    code, said = home(tmp_path, *names, MLFLOW_TRACKING_URI=uri, **secrets)
    assert code == 0
    assert "CANARY" not in said
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and "CANARY" in p.read_text()]
    document = tomllib.loads((tmp_path / "config.toml").read_text())["mcp_servers"]
    assert "MLFLOW_TRACKING_PASSWORD" in document["mlflow"]["env_vars"]
    assert document["huggingface"]["bearer_token_env_var"] == "HF_TOKEN"
    assert document["huggingface"]["enabled_tools"] == list(HUB_READING)


def test_who_has_not_logged_in_is_told_how(tmp_path: Path) -> None:
    _, said = home(tmp_path)
    assert f"CODEX_HOME={tmp_path} codex login" in said
    assert said.rstrip().endswith('--sandbox read-only -C . "Which run was best, and why?"')
    assert "codex login" not in home(tmp_path, CODEX_API_KEY="CANARY")[1]
    write(tmp_path / "auth.json", "{}")
    assert "codex login" not in home(tmp_path)[1]


def test_without_a_token_the_hub_is_asked_as_nobody(tmp_path: Path) -> None:
    home(tmp_path, "--mcp", "huggingface")
    table = tomllib.loads((tmp_path / "config.toml").read_text())["mcp_servers"]["huggingface"]
    assert "bearer_token_env_var" not in table


def test_a_person_s_own_home_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "config.toml", 'model = "mine"\n')
    code, said = home(tmp_path)
    assert code == 2
    assert "holds a config.toml that is not ours" in said
    assert (tmp_path / "config.toml").read_text() == 'model = "mine"\n'


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (("--mcp", "github"), {}, "Write one a line: mlflow, huggingface, huggingface-stdio."),
        (("--mcp", "huggingface\nhuggingface-stdio"), {}, "Choose one of them."),
        (("--mcp", "mlflow"), {}, "no tracking URI is known"),
        (("--mcp", "mlflow", "--tracking-uri", "https://a:b@c.d"), {}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "postgresql://a:b@c/d"), {}, "holds a password"),
        (("--mcp", "mlflow"), {"MLFLOW_TRACKING_URI": "https://a:b@c.d"}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "https://c.d?token=x"), {}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "https://c.d#x"), {}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "https://hf_abc@c.d"), {}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "mysql://c/d?password=x"), {}, "holds a password"),
        (("--mcp", "mlflow"), {"MLFLOW_TRACKING_URI": "https://c.d?token=x"}, "holds a password"),
        (("--mcp", "mlflow"), {"MLFLOW_TRACKING_URI": "https://me@c.d"}, "holds a password"),
        (("--mcp", "mlflow", "--tracking-uri", "http://[x"), {}, "is no address"),
        (("--mcp", "huggingface-stdio"), {"PATH": "/none"}, f"{HUB_PACKAGE}@{HUB_VERSION}"),
        (("--mcp", "mlflow", "--tracking-uri", "sqlite:////none/x.db"), {}, "does not exist"),
        (("--mcp", "mlflow", "--tracking-uri", "/none/mlruns"), {}, "does not exist"),
        (("--mcp", "huggingface"), {"HF_ENDPOINT": "https://hub.acme.org"}, "another Hub"),
        (("--mlflow-tools", "delete_run"), {}, "needs `mcp`: mlflow"),
        (("--profile", "nosuch"), {}, "There is ml-download."),
    ],
)
def test_what_cannot_work_is_said_at_once(
    tmp_path: Path, arguments: Sequence[str], environ: Mapping[str, str], expected: str
) -> None:
    code, said = home(tmp_path, *arguments, **environ)
    assert code == 2
    assert expected in said
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.parametrize("asked", [("--profile", "ml-download"), ("--mcp", "huggingface")])
@pytest.mark.parametrize(
    ("event", "code"),
    [*((event, 2) for event in STRANGE), *((event, 0) for event in OWN)],
)
def test_never_with_code_of_a_pull_request(
    tmp_path: Path, asked: Sequence[str], event: str, code: int
) -> None:
    ended, said = home(tmp_path, *asked, GITHUB_ACTIONS="true", GITHUB_EVENT_NAME=event)
    assert ended == code
    assert ("refused on a pull request" in said) == (code == 2)
    assert home(tmp_path, GITHUB_ACTIONS="true", GITHUB_EVENT_NAME=event)[0] == 0


@pytest.mark.parametrize("address", ["", "https://huggingface.co", "https://huggingface.co/"])
def test_the_hub_that_the_server_asks_may_be_named(tmp_path: Path, address: str) -> None:
    assert home(tmp_path, "--mcp", "huggingface", HF_ENDPOINT=address)[0] == 0


def test_an_old_hub_package_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "p/dist/server/stdio.js", "#!/bin/sh\n").chmod(0o755)
    package = write(tmp_path / "p/package.json", json.dumps({"name": HUB_PACKAGE, "version": "0"}))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hf-mcp-server").symlink_to(tmp_path / "p/dist/server/stdio.js")
    path = {"PATH": str(tmp_path / "bin")}
    code, said = home(tmp_path / "home", "--mcp", "huggingface-stdio", **path)
    assert code == 2
    assert f"not {HUB_VERSION}" in said
    package.write_text(json.dumps({"name": HUB_PACKAGE, "version": HUB_VERSION}))
    assert home(tmp_path / "home", "--mcp", "huggingface-stdio", **path)[0] == 0
    assert (tmp_path / "home/mcp/loopback.cjs").exists()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow.db", "sqlite:////w/mlflow.db"),
        ("sqlite:////a/mlflow.db", "sqlite:////a/mlflow.db"),
        ("mlruns", "file:///w/mlruns"),
        ("./a b", "file:///w/a%20b"),
        ("file:///a", "file:///a"),
        ("http://h:1", "http://h:1"),
        ("databricks", "databricks"),
        ("databricks-uc://x", "databricks-uc://x"),
    ],
)
def test_a_relative_address_means_the_caller_s_folder(uri: str, expected: str) -> None:
    assert tracking_uri(uri, {}, Path("/w")) == expected
    assert tracking_uri("", {"MLFLOW_TRACKING_URI": uri}, Path("/w")) == expected


def test_every_server_can_be_named(tmp_path: Path) -> None:
    assert check_names([*NAMES[:2], *NAMES[:1]]) == NAMES[:2]
    with pytest.raises(UserError, match="no tracking URI"):
        make_servers(["mlflow"], tmp_path, {})


def test_mlflow_s_server_imports_nothing_from_the_folder_it_starts_in(tmp_path: Path) -> None:
    (server,) = make_servers(("mlflow",), tmp_path, {"MLFLOW_TRACKING_URI": "https://c.d"})
    folder, args = Path(server.table["cwd"]), list(server.table["args"])
    write(folder / "mlflow.py", "print('CANARY')\n")
    given = {**os.environ, "PYTHONPATH": str(folder)}
    command = [server.table["command"], *args, "--help"]
    ran = subprocess.run(command, cwd=folder, env=given, capture_output=True, check=True)
    assert b"CANARY" not in ran.stdout
    assert b"MCP" in ran.stdout
