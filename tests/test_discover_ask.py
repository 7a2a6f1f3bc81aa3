"""Codex searches the Hub and ranks: the real CLI, the real MCP server, every name looked up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mlactions.ask.form import answer_schema
from mlactions.ask.repository import open_repository
from mlactions.discover import hub as hub_module
from mlactions.discover.model import Constraints, Conventions
from mlactions.discover.proposal import (
    MAX_RANKED,
    check_proposal,
    check_ranking,
    render_proposal,
)
from mlactions.discover.search import Look
from mlactions.markdown import render
from mlactions.report import Report
from mlactions.schema import load_json, resource
from mlactions.settings import Status
from tests.ask_cases import KEY, Ran, ask, codex_path, git, write
from tests.fakes.hub import FakeHub, dataset, model, sha
from tests.fakes.model import FakeModel, answers, runs, says, uses
from tests.fakes.strict_schema import strict_schema_fault
from tests.github_html import NOTIFYING, page
from tests.hub_support import ROOT, hub_server
from tests.test_discover_command import discover

READ = runs("cat facts.json")
SEARCH = uses("huggingface", "hub_repo_search", query="vit", repo_types=["model"])
DETAILS = uses("huggingface", "hub_repo_details", repo_ids=["acme/vit-tiny"], repo_type="model")
HOSTILE = "<img src=x onerror=alert(1)> @everyone [x](https://evil.example) | ::error::pwned"
RANKED = (
    ("acme/vit-small", "Trained on digits, 22M parameters, reported accuracy 99.9."),
    ("acme/vit-tiny", "Half the size."),
    ("acme/vit-invented", "The best of all."),
    ("acme/vit-nc", "Accurate, and not for commerce."),
)


def answer(*ranked: tuple[str, str]) -> dict[str, Any]:
    candidates = [{"id": name, "reason": reason} for name, reason in ranked]
    return {
        "summary": "Try the small one first.",
        "findings": [],
        "next_steps": [],
        "proposal": {"candidates": candidates},
    }


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "WAITS", (0.0,))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    metrics = [{"name": "Accuracy", "type": "accuracy", "value": 97.25, "dataset": "digits"}]
    with FakeHub(
        model("acme/vit-small", parameters=22_050_664, metrics=metrics, downloads=9000),
        model("acme/vit-tiny", parameters=5_700_000, downloads=800),
        model("acme/vit-nc", licence="cc-by-nc-4.0"),
        model("acme/vit-pickle", files={"pytorch_model.bin": 9}),
        model("acme/gone", private=True),
        dataset("acme/digits"),
    ) as served:
        yield served


def asked(
    hub: FakeHub, fake: FakeModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Ran, Any]:
    """Search, then ask about it, both as at a shell prompt."""
    searched = discover(hub, folder / "found", "--licence", "apache-2.0,mit")
    assert searched.code == 0, searched.said
    repository = folder / "repository"
    write(repository / "requirements.txt", "transformers\nhydra-core\n")
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "first")
    # In the real process these are one environment, read once.
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    variables = {"PATH": f"{hub_server(folder)}:{codex_path()}", "HOME": str(folder)}
    variables |= {"CODEX_API_KEY": KEY, "GITHUB_ACTIONS": "", "COLUMNS": "160"}
    names = ["--bundle", str(searched.out), "--repository", str(repository)]
    names += ["--out", str(folder / "out"), "--responses-api-endpoint", fake.endpoint]
    names += ["--model", "scripted-model", "--when", "always", "--mcp", "huggingface-stdio"]
    ran = ask(folder / "step", "run", *names, HF_ENDPOINT=hub.url, **variables)
    return ran, json.loads((folder / "out/checked-answer.json").read_text())


def test_codex_searches_and_each_name_is_looked_up(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeModel(READ, SEARCH, DETAILS, says(answer(*RANKED)), key=KEY) as fake:
        ran, checked = asked(hub, fake, tmp_path, monkeypatch)
        seen = fake.requests[-1].tool_outputs
        prompt = fake.requests[0].prompt
    assert checked["status"] == "answered", ran.said
    assert "acme/vit-tiny" in seen[1], "the MCP server searched the Hub on loopback"
    assert "5.7M" in seen[2]
    assert (checked["usage"]["mcp_calls"], checked["usage"]["mcp_failures"]) == (2, 0)
    proposal = checked["proposal"]
    assert proposal["claims"] == {"checked": 4, "held": 2}
    assert proposal["files"] == ["candidates.json", "citations.bib"]
    ranked = proposal["document"]["candidates"]
    assert [(item["rank"], item["id"], item["held"]) for item in ranked] == [
        (1, "acme/vit-small", True),
        (2, "acme/vit-tiny", True),
        (0, "acme/vit-invented", False),
        (0, "acme/vit-nc", False),
    ]
    assert ranked[0]["candidate"]["revision"] == sha("acme/vit-small")
    assert ranked[0]["unverified"] == ["99.9"]
    assert [item["struck"][0]["code"] for item in ranked[2:]] == [
        "not-found",
        "licence-not-allowed",
    ]
    report = (tmp_path / "out/report.md").read_text()
    assert "claims checked: 4, held: 2" in " ".join(ran.said.split()).lower()
    assert "~~acme/vit-invented~~" in report
    assert "_target_: transformers.AutoModelForImageClassification.from_pretrained" in report
    held = json.loads((tmp_path / "out/candidates.json").read_text())
    assert [item["id"] for item in held] == ["acme/vit-small", "acme/vit-tiny"]
    assert "image classification" not in prompt, "the task in words reaches Codex as data"


def test_a_hub_that_is_gone_when_the_answer_is_checked_proves_nothing(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_first(_: Any) -> str:
        hub.fail("/api/models", 503)
        return json.dumps(answer(*RANKED))

    with FakeModel(READ, SEARCH, answers(fails_first), key=KEY) as fake:
        _, checked = asked(hub, fake, tmp_path, monkeypatch)
    proposal = checked["proposal"]
    assert proposal["claims"] == {"checked": 4, "held": 0}
    assert proposal["document"]["state"] == "hub-failed"
    codes = {item["struck"][0]["code"] for item in proposal["document"]["candidates"]}
    assert codes == {"hub-failed"}
    assert "could not be looked up" in (tmp_path / "out/report.md").read_text()


def ranking(hub: FakeHub, *ranked: tuple[str, str], **wanted: Any) -> Mapping[str, Any]:
    look = Look("model", Constraints(**wanted), hub_module.HuggingFace(hub.url), Conventions())
    items = [{"id": name, "reason": reason} for name, reason in ranked]
    return check_ranking(items, look).document


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("acme/nobody", "not-found"),
        ("acme/gone", "not-found"),
        ("acme/digits", "not-found"),
        ("../../etc/passwd", "bad-name"),
        ("acme/vit-tiny/tree/main", "bad-name"),
        (HOSTILE, "bad-name"),
        ("", "bad-name"),
        ("acme/vit-pickle", "no-safetensors"),
    ],
)
def test_who_is_struck(hub: FakeHub, name: str, code: str) -> None:
    (item,) = ranking(hub, (name, "why"), safetensors_only=True)["candidates"]
    assert (item["held"], item["struck"][0]["code"], item["candidate"]) == (False, code, None)


def test_nobody_is_ranked_twice(hub: FakeHub) -> None:
    first, second = ranking(hub, ("acme/vit-tiny", "a"), (" acme/vit-tiny ", "b"))["candidates"]
    assert (first["rank"], second["rank"], second["struck"][0]["code"]) == (1, 0, "named-twice")


def test_no_more_than_a_few_are_looked_up(hub: FakeHub) -> None:
    many = [(f"acme/x{number}", "") for number in range(MAX_RANKED + 30)]
    document = ranking(hub, *many)
    assert len(hub.asked) == MAX_RANKED
    assert document["candidates"][-1]["struck"][0]["code"] == "too-many"


@pytest.mark.parametrize(
    ("reason", "unverified"),
    [
        ("22M parameters and an accuracy of 97.25", []),
        ("about 22.05 million parameters, 9,000 downloads", []),
        ("23M parameters", ["23"]),
        ("accuracy 98.1%", ["98.1 %"]),
        ("vit-base-224, version 2, since 2021-03-04", []),
    ],
)
def test_numbers_of_a_reason_are_held_against_the_hub(
    hub: FakeHub, reason: str, unverified: list[str]
) -> None:
    (item,) = ranking(hub, ("acme/vit-small", reason))["candidates"]
    assert item["unverified"] == unverified


def test_a_hostile_ranking_is_only_text(hub: FakeHub) -> None:
    document = ranking(hub, ("acme/vit-tiny", HOSTILE), (HOSTILE, HOSTILE))
    text = render(Report("x", Status.PASS, "x", render_proposal(document)))
    shown = page(text)
    assert not {"img", "script"} & set(shown.tags)
    assert not [link for link in shown.links if "evil.example" in link]
    assert not NOTIFYING["mention"].search(shown.filtered)
    assert not [line for line in text.splitlines() if line.startswith("::")]


def test_another_hub_than_the_one_that_was_searched_proves_nothing(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = discover(hub, tmp_path / "found")
    with FakeHub(model("acme/vit-invented")) as other:
        monkeypatch.setenv("HF_ENDPOINT", other.url)
        repository = open_repository(ROOT)
        value = answer(*RANKED)["proposal"]
        checked = check_proposal(value, facts={}, repository=repository, bundle=searched.out)
        assert other.asked == []
    assert checked.held == 0
    assert checked.document["state"] == "hub-failed"
    assert f"the search was made at {hub.url}" in checked.document["error"]


def test_the_answer_s_form_is_one_that_strict_mode_takes() -> None:
    assert strict_schema_fault(answer_schema(["discover"])) is None
    assert "proposal" in load_json(resource("actions/discover/answer.schema.json"))["properties"]
