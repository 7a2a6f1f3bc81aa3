"""The Codex home, checked by the Codex CLI itself, and the inputs that could weaken it."""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlactions.codex import (
    Endpoint,
    check_accounts,
    check_plain,
    check_version,
    exec_arguments,
    parse_endpoint,
    sandbox_fault,
)
from mlactions.codex_home import home_config
from mlactions.errors import UserError
from tests.ask_cases import codex_cli, codex_path

AZURE = "https://team.openai.azure.com/openai/v1/responses?api-version=preview"

HOSTS = st.from_regex(r"[a-z]{1,8}\.(?:openai\.azure\.com|example)(?::[0-9]{2,4})?", fullmatch=True)
QUERIES = st.dictionaries(
    st.text("abc-_.\"'\\%", min_size=1, max_size=5),
    st.text("xyz09 \"'\\\n\x7f\t=é😀", max_size=8),
    max_size=3,
)
ENDPOINTS = st.builds(
    lambda host, path, query: Endpoint(f"https://{host}{path}", tuple(query.items())),
    HOSTS,
    st.sampled_from(["/v1", "/openai/v1", ""]),
    QUERIES,
)


@given(endpoint=st.none() | ENDPOINTS)
def test_the_home_is_toml_that_says_what_was_given(endpoint: Endpoint | None) -> None:
    document = tomllib.loads(home_config(endpoint))
    assert document["approval_policy"] == "never"
    assert document["project_doc_max_bytes"] == 0
    assert document["shell_environment_policy"] == {"inherit": "core"}
    assert ("model_provider" in document) == (endpoint is not None)
    if endpoint:
        provider = document["model_providers"][document["model_provider"]]
        assert provider["base_url"] == endpoint.base_url
        assert provider.get("query_params", {}) == dict(endpoint.query)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(endpoint=st.none() | ENDPOINTS, effort=st.sampled_from(["", "low", "xhigh"]))
def test_the_codex_cli_accepts_every_home(endpoint: Endpoint | None, effort: str) -> None:
    """`--strict-config` fails on a key it does not know; an unknown provider comes after that."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.toml").write_text(home_config(endpoint))
        command = exec_arguments(
            directory=folder,
            schema=folder / "schema.json",
            answer=folder / "answer.json",
            effort=effort,
        )
        (folder / "schema.json").write_text("{}")
        done = subprocess.run(
            [codex_cli(), *command[1:], "--config", 'model_provider="nope"'],
            input="hello",
            env={"PATH": codex_path(), "HOME": name, "CODEX_HOME": name},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert "Model provider `nope` not found" in done.stderr


def test_the_codex_cli_refuses_a_key_it_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(home_config() + "\n[history2]\npersistence = 1\n")
    command = exec_arguments(directory=tmp_path, schema=tmp_path / "s", answer=tmp_path / "a")
    done = subprocess.run(
        [codex_cli(), *command[1:], "--config", 'model_provider="nope"'],
        input="hello",
        env={"PATH": codex_path(), "HOME": str(tmp_path), "CODEX_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "history2" in done.stderr


def test_an_endpoint_is_split_into_base_and_query() -> None:
    expected = Endpoint("https://team.openai.azure.com/openai/v1", (("api-version", "preview"),))
    assert parse_endpoint(AZURE, field="responses-api-endpoint") == expected


@pytest.mark.parametrize(
    "text",
    [
        "team.openai.azure.com/v1/responses",
        "ftp://host/v1/responses",
        "https://host/v1/chat/completions",
        "https://user:secret@host/v1/responses",
        "https://host/v1/responses#x",
        "https:///v1/responses",
        "https://[::1/v1/responses",
        "https://host/v1/resp onses",
        "https://höst/v1/responses",
        'https://host/"\n[mcp_servers.x]/responses',
    ],
)
def test_a_strange_endpoint_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="responses-api-endpoint"):
        parse_endpoint(text, field="responses-api-endpoint")


@pytest.mark.parametrize("text", ["0.169.0", "1.2.3-alpha.1"])
def test_one_exact_version_is_accepted(text: str) -> None:
    assert check_version(text, field="codex-version") == text


@pytest.mark.parametrize("text", ["", "latest", "0.169", "^0.169.0", "0.169.0 || 1.0.0", "*"])
def test_any_other_version_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="codex-version"):
        check_version(text, field="codex-version")


@pytest.mark.parametrize("text", ["", "gpt-6.1-sol", "openai/gpt-5.5", "low"])
def test_a_plain_name_is_accepted(text: str) -> None:
    assert check_plain(text, field="model") == text


@pytest.mark.parametrize("text", ['x" y="', "--full-auto", "a b", "x\n", "m" * 101])
def test_a_name_with_more_in_it_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="model"):
        check_plain(text, field="model")


@pytest.mark.parametrize("text", ["", "alice", "alice, bob-2", "dependabot[bot],x"])
def test_accounts_are_accepted(text: str) -> None:
    assert check_accounts(text, field="allow-users") == text


@pytest.mark.parametrize("text", ["*", "alice, *", "a*", "x y", "[bot]", "-x"])
def test_wildcards_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="allow-users"):
        check_accounts(text, field="allow-users")


def test_a_sandbox_that_starts_has_no_fault(tmp_path: Path) -> None:
    assert sandbox_fault({}, probe=("true",), switches=tmp_path) == ""


def test_a_probe_that_fails_says_what_is_closed(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("0\n")
    probe = ("sh", "-c", "echo 'unshare failed: No space left' >&2; exit 1")
    fault = sandbox_fault({}, probe=probe, switches=tmp_path)
    assert fault == "user/max_user_namespaces is 0; unshare failed: No space left"


def test_without_a_probe_the_switches_decide(tmp_path: Path) -> None:
    probe = ("no-such-program",)
    assert sandbox_fault({}, probe=probe, switches=tmp_path) == ""
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    fault = sandbox_fault({}, probe=probe, switches=tmp_path)
    assert fault == "kernel/apparmor_restrict_unprivileged_userns is 1"


def test_on_a_hosted_runner_codex_action_opens_the_sandbox_itself(tmp_path: Path) -> None:
    hosted = {"RUNNER_ENVIRONMENT": "github-hosted"}
    assert sandbox_fault(hosted, probe=("false",), switches=tmp_path) == ""
