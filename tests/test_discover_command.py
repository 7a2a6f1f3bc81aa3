"""`discover` through its command line and huggingface_hub, against a Hub on loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.comment.material import read_result
from mlactions.discover import hub as hub_module
from mlactions.discover.model import HubError, Query
from mlactions.runner import Runner
from mlactions.schema import validate
from mlactions.settings import Status
from tests.fakes.hub import FakeHub, Fault, dataset, model, sha
from tests.fakes.loopback import Handler, Reply, Request
from tests.github_html import NOTIFYING, page
from tests.mlflow_support import free_port

ROOT = Path(__file__).resolve().parents[1]
TASK = ("--task", "image classification")
CARD = "# ViT\n\n```bibtex\n@article{vit, title={ViT}, year={2026}}\n```\n"
HOSTILE = (
    "<img src=x onerror=alert(1)>\n::error::pwned\n@everyone [click](https://evil.example) | x"
)


@dataclass(frozen=True)
class Ran:
    """What a run of the command left behind."""

    code: int
    said: str
    out: Path

    @property
    def result(self) -> dict[str, Any]:
        """The result, after its schema was checked."""
        found: dict[str, Any] = json.loads((self.out / "result.json").read_text())
        validate(found, "discover-result", file="result.json")
        return found

    @property
    def found(self) -> list[str]:
        """Who holds."""
        return [item["id"] for item in self.result["candidates"]]

    @property
    def dropped(self) -> dict[str, list[str]]:
        """Who does not, and the codes of the reasons."""
        items = self.result["dropped"]
        return {item["id"]: [reason["code"] for reason in item["reasons"]] for item in items}


def discover(hub: FakeHub | str, out: Path, *arguments: str, **environ: str) -> Ran:
    """Run the command as on GitHub."""
    stream = io.StringIO()
    url = hub if isinstance(hub, str) else hub.url
    variables = {
        "PATH": os.environ["PATH"],
        "GITHUB_ACTIONS": "true",
        "HF_ENDPOINT": url,
        **environ,
    }
    given = [] if "--task" in arguments else [*TASK]
    code = run(["discover", *given, *arguments, "--out", str(out)], Runner(variables, stream))
    return Ran(code, stream.getvalue(), out)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing: the waits themselves have a test of their own."""
    monkeypatch.setattr(hub_module, "WAITS", (0.0, 0.0))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(
        model("acme/vit-tiny", parameters=5_700_000, card=CARD),
        model("acme/vit-base", parameters=86_000_000),
        model("acme/vit-huge", parameters=632_000_000),
        model("acme/resnet", library="timm", licence="mit"),
        model("acme/vit-gated", gated="manual"),
        model("acme/vit-silent", parameters=None),
        model("acme/vit-nc", licence="cc-by-nc-4.0"),
        model("acme/vit-two-faced", licence="mit", licence_tags=["mit", "cc-by-nc-4.0"]),
        model("acme/vit-pickle", files={"pytorch_model.bin": 22_000_000}),
        dataset("acme/digits", splits={"train": 1437, "test": 360}),
        dataset("acme/letters", splits={"train": 100}, licence="apache-2.0"),
    ) as served:
        yield served


def test_models_that_hold(hub: FakeHub, tmp_path: Path) -> None:
    ran = discover(
        hub,
        tmp_path,
        *("--licence", "apache-2.0, mit", "--max-parameters", "100M"),
        *("--safetensors-only", "--not-gated"),
    )
    assert ran.code == 0, ran.said
    assert sorted(ran.found) == ["acme/resnet", "acme/vit-base", "acme/vit-tiny"]
    assert ran.dropped == {"acme/vit-two-faced": ["licence-disagrees"]}
    tiny = next(item for item in ran.result["candidates"] if item["id"] == "acme/vit-tiny")
    assert tiny["revision"] == sha("acme/vit-tiny")
    assert tiny["citation"] == {"source": "card", "text": "@article{vit, title={ViT}, year={2026}}"}
    assert f'REVISION = "{sha("acme/vit-tiny")}"' in tiny["snippets"][0]["text"]
    facts = open_bundle(tmp_path, word="discover").json("facts.json", schema="facts")["facts"]
    assert {"discover.task", "discover.constraints", "discover.candidate.acme/vit-tiny"} <= {
        fact["id"] for fact in facts
    }
    assert "@article{vit," in (tmp_path / "citations.bib").read_text()


def test_a_comment_can_show_it(hub: FakeHub, tmp_path: Path) -> None:
    discover(hub, tmp_path, "--licence", "mit")
    found = read_result(tmp_path)
    assert (found.word, found.report.status) == ("discover", Status.PASS)


def test_the_same_search_gives_the_same_bytes(hub: FakeHub, tmp_path: Path) -> None:
    first = discover(hub, tmp_path / "a", "--licence", "mit")
    second = discover(hub, tmp_path / "b", "--licence", "mit")
    for name in ("result.json", "facts.json", "report.md", "report.html", "citations.bib"):
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes()


def test_the_search_turns_pages(tmp_path: Path) -> None:
    many = (model(f"acme/vit-{n}", parameters=n + 1) for n in range(8))
    with FakeHub(*many, page=3) as hub:
        ran = discover(hub, tmp_path, "--limit", "7")
        assert len(ran.found) == 7
        pages = [request for request in hub.state.requests if request.path == "/api/models"]
        assert [request.query.get("cursor") for request in pages] == [None, "3", "6"]


def test_words_and_the_most_downloaded_first(tmp_path: Path) -> None:
    with FakeHub(
        model("acme/digits-small", downloads=5, licence="mit"),
        model("acme/digits-large", downloads=50),
        model("acme/other", downloads=500),
    ) as hub:
        task = ("--task", "image classification of digits", "--limit", "2")
        ran = discover(hub, tmp_path, *task, "--licence", "mit\napache-2.0")
    assert ran.found == ["acme/digits-large", "acme/digits-small"]
    assert ran.result["plan"] == {"tag": "image-classification", "words": ["digits"]}


def test_data_sets(hub: FakeHub, tmp_path: Path) -> None:
    given = (
        "--kind",
        "dataset",
        "--splits",
        "train,test",
        "--licence",
        "mit",
        "--min-samples",
        "1k",
    )
    ran = discover(hub, tmp_path, *given)
    assert ran.code == 0, ran.said
    assert ran.found == ["acme/digits"]
    assert (
        "load_dataset(NAME, revision=REVISION" in ran.result["candidates"][0]["snippets"][0]["text"]
    )
    assert "1,797" in (tmp_path / "report.md").read_text()


def test_nobody_holds(hub: FakeHub, tmp_path: Path) -> None:
    ran = discover(
        hub, tmp_path, "--max-parameters", "1M", "--not-gated", "--licence", "apache-2.0"
    )
    assert ran.code == 1
    assert ran.result["state"] == "no-candidate"
    assert ran.result["status"] == "fail"
    assert ran.dropped["acme/vit-silent"] == ["parameters-unknown"]
    assert ran.dropped["acme/vit-gated"] == ["too-many-parameters", "gated"]
    assert "9 models looked up" in ran.result["verdict"]
    assert "no metadata of its weights" in (tmp_path / "report.md").read_text()


def test_the_hub_knows_nothing(tmp_path: Path) -> None:
    with FakeHub() as hub:
        ran = discover(hub, tmp_path)
    assert (ran.code, ran.result["state"]) == (1, "no-candidate")
    assert "names none" in ran.result["verdict"]


def test_pickles_only_are_a_warning(tmp_path: Path) -> None:
    files = {"pytorch_model.bin": 5, "config.json": 2}
    with FakeHub(model("acme/old", files=files)) as hub:
        ran = discover(hub, tmp_path / "a")
        strict = discover(hub, tmp_path / "b", "--fail-on", "warn")
    assert (ran.code, ran.result["status"], strict.code) == (0, "warn", 1)
    assert "weights_only=True" in ran.result["candidates"][0]["snippets"][0]["text"]
    assert "⚠️ pickle" in (ran.out / "report.md").read_text()


def test_a_model_that_is_deleted_while_it_is_read(hub: FakeHub, tmp_path: Path) -> None:
    hub.state.deleted.add("acme/resnet")
    ran = discover(hub, tmp_path)
    assert ran.dropped == {"acme/resnet": ["deleted"]}
    assert "acme/resnet" not in ran.found
    assert ran.code == 0


def test_a_renamed_model_is_known_by_its_new_name(tmp_path: Path) -> None:
    with FakeHub(model("acme/new-name", old_name="old-name")) as hub:
        entry = hub_module.HuggingFace(hub.url).look_up("model", "old-name")
    assert (entry.id, entry.asked) == ("acme/new-name", "old-name")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (401, "unauthorized"),
        (403, "unauthorized"),
        (429, "rate-limited"),
        (500, "hub-failed"),
        (404, "hub-failed"),
    ],
)
def test_a_hub_that_refuses_has_a_state_of_its_own(
    hub: FakeHub, tmp_path: Path, status: int, state: str
) -> None:
    hub.fail("/api/models", status)
    ran = discover(hub, tmp_path)
    assert (ran.code, ran.result["status"], ran.result["state"]) == (2, "fail", state)
    assert ran.found == []
    assert "Nothing can be said" in ran.said


@pytest.mark.parametrize(("status", "state"), [(429, "rate-limited"), (503, "hub-failed")])
def test_a_hub_that_fails_in_the_middle_proves_nothing(
    hub: FakeHub, tmp_path: Path, status: int, state: str
) -> None:
    hub.fail("/api/models/acme/vit-tiny", status)
    ran = discover(hub, tmp_path)
    assert (ran.code, ran.result["status"], ran.result["state"]) == (2, "fail", state)
    assert ran.found, "who was looked up before is still shown"
    assert "had been looked up" in ran.result["verdict"]


def test_a_hub_that_recovers_is_asked_again(hub: FakeHub, tmp_path: Path) -> None:
    hub.fail("/api/models/acme/vit-tiny", 503, times=2)
    hub.fail("/api/models/acme/vit-base", 429, times=1, Retry_After="0")
    ran = discover(hub, tmp_path)
    assert ran.code == 0
    assert {"acme/vit-tiny", "acme/vit-base"} <= set(ran.found)


def test_how_long_it_waits(hub: FakeHub) -> None:
    slept: list[float] = []
    asked = hub_module.HuggingFace(hub.url, waits=(0.5, 2.0), sleep=slept.append)
    hub.fail("/api/models", 429, Retry_After="7")
    with pytest.raises(HubError, match="limits the rate"):
        asked.search("model", Query(), 3)
    assert slept == [7.0, 7.0]
    hub.state.faults.clear()
    hub.fail("/api/models", 429, Retry_After="3600")
    with pytest.raises(HubError, match="limits the rate"):
        asked.search("model", Query(), 3)
    assert slept == [7.0, 7.0], "an hour is not waited for"


def test_a_hub_that_is_not_there(tmp_path: Path) -> None:
    ran = discover(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert (ran.code, ran.result["state"]) == (2, "unreachable")
    assert "HF_ENDPOINT" in (tmp_path / "report.md").read_text()


def test_something_else_than_a_hub(hub: FakeHub, tmp_path: Path) -> None:
    hub.state.faults.append(Fault("/api/models", Reply(200, {"hello": "world"})))
    ran = discover(hub, tmp_path)
    assert (ran.code, ran.result["state"]) == (2, "hub-failed")


class Slow(FakeHub):
    """A Hub that takes requests and does not answer."""

    def respond(self, _request: Request, handler: Handler) -> None:
        """Wait until the test is over."""
        self.closing.wait()
        handler.drop()


def test_a_hub_that_never_answers_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "SECONDS", 0.2)
    with Slow() as slow:
        ran = discover(slow, tmp_path)
    assert (ran.code, ran.result["state"]) == (2, "unreachable")


def test_an_answer_of_any_size_is_not_read(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.state.repositories[0].about["cardData"]["note"] = "x" * 20_000
    monkeypatch.setattr(hub_module, "MAX_BYTES", 10_000)
    ran = discover(hub, tmp_path)
    assert ran.dropped["acme/vit-tiny"] == ["unreadable"]
    assert "acme/vit-base" in ran.found


def test_codex_that_cannot_be_asked_leaves_the_verdict(hub: FakeHub, tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    environ["GITHUB_EVENT_NAME"] = "workflow_dispatch"
    ran = discover(hub, tmp_path, "--ask", **environ)
    assert ran.code == 0
    assert ran.result["status"] == "pass"
    checked = json.loads((tmp_path / "answer/checked-answer.json").read_text())
    assert (checked["status"], checked["reason"]) == ("not-called", "no-codex")
    again = discover(hub, tmp_path, "--ask", **environ)
    assert again.code == 0, "its own folder is emptied"


def test_a_wrong_token_is_said_and_never_shown(hub: FakeHub, tmp_path: Path) -> None:
    hub.state.token = "hf_right"
    ran = discover(hub, tmp_path / "a", HF_TOKEN="hf_wrong_CANARY")
    assert (ran.code, ran.result["state"]) == (2, "unauthorized")
    right = discover(hub, tmp_path / "b", HF_TOKEN="hf_right")
    assert right.code == 0
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "hf_wrong_CANARY" not in written + ran.said
    assert "hf_right" not in written + right.said


def test_without_a_token_none_is_sent(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    discover(hub, tmp_path)
    assert not [r for r in hub.state.requests if "authorization" in r.headers]


def test_a_login_that_was_saved_on_the_machine_is_not_used(hub: FakeHub, tmp_path: Path) -> None:
    """Also where huggingface_hub was imported before, and so takes what is saved for a token."""
    (tmp_path / "token").write_text("hf_saved_CANARY")
    script = (
        "import sys; sys.path.insert(0, 'scripts'); import huggingface_hub\n"
        "from mlactions.discover.hub import HuggingFace\n"
        "from mlactions.discover.model import Query\n"
        "assert huggingface_hub.get_token() == 'hf_saved_CANARY'\n"
        "found = HuggingFace(sys.argv[1]).search('model', Query(search='resnet'), 3)\n"
        "print([hit.id for hit in found])"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "HF_HOME": str(tmp_path),
        "HF_TOKEN_PATH": str(tmp_path / "token"),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, hub.url],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['acme/resnet']\n"
    assert [r.headers.get("authorization") for r in hub.state.requests] == [None]


def test_offline_is_said(hub: FakeHub, tmp_path: Path) -> None:
    ran = discover(hub, tmp_path, HF_HUB_OFFLINE="1")
    assert ran.code == 2
    assert "HF_HUB_OFFLINE" in ran.said
    assert hub.asked == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--task", "  "), "`task` has 0 characters"),
        (("--task", "x" * 501), "501 characters"),
        (("--limit", "0"), "not 1 to 100"),
        (("--max-parameters", "lots"), "not a positive count"),
        (("--licence", "apache 2.0"), "no name on the Hub"),
        (("--licence", "mit,$(id)"), "no name on the Hub"),
        (("--library", "a/b"), "no name on the Hub"),
        (("--splits", "train"), "says nothing about a model"),
        (("--min-samples", "10"), "says nothing about a model"),
        (("--kind", "dataset", "--max-parameters", "1M"), "says nothing about a dataset"),
        (("--kind", "dataset", "--safetensors-only"), "says nothing about a dataset"),
        (("--kind", "space"), "'space' is not one of"),
        (("--key", "A B"), "lower-case letters"),
    ],
)
def test_what_cannot_be_meant(
    hub: FakeHub, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    ran = discover(hub, tmp_path / "out", *arguments)
    assert ran.code == 2
    assert expected in ran.said
    assert hub.asked == []


def hostile_hub() -> FakeHub:
    metrics = [{"name": HOSTILE, "type": "x", "value": HOSTILE, "dataset": HOSTILE}]
    return FakeHub(
        model(
            "acme/evil",
            licence=["mit", HOSTILE],
            metrics=metrics,
            files={f"{HOSTILE}.bin": 4, "a.safetensors": 5},
            library=HOSTILE,
            card=f"@misc{{x,\n title={{{HOSTILE}}}}}",
            transformersInfo={"auto_model": "os.system", "processor": HOSTILE},
        ),
        model("acme/odd", safetensors={"parameters": {}}, gated=HOSTILE, sha=HOSTILE),
        model("acme/odder", siblings="x", lastModified="yesterday"),
        model("acme/huge", safetensors={"parameters": {}, "total": 10**30}),
    )


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    with hostile_hub() as hub:
        ran = discover(hub, tmp_path)
    assert ran.code == 0, ran.said
    assert sorted(ran.found) == ["acme/evil", "acme/huge"]
    assert ran.dropped == {"acme/odd": ["unreadable"], "acme/odder": ["unreadable"]}
    huge = next(item for item in ran.result["candidates"] if item["id"] == "acme/huge")
    assert huge["parameters"] is None, "no number of that size is believed"
    shown = page((tmp_path / "report.md").read_text())
    assert not {"img", "script", "iframe"} & set(shown.tags)
    assert not [link for link in shown.links if "evil.example" in link]
    assert not NOTIFYING["mention"].search(shown.filtered)
    html = (tmp_path / "report.html").read_text()
    assert "<img" not in html
    lines = ran.said.splitlines()
    assert not [line for line in lines if line.startswith("::error")]


def test_the_library_says_nothing_of_a_card(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    index = [{"name": "x", "results": [{"task": {}, "dataset": {}, "metrics": [HOSTILE]}]}]
    with FakeHub(model("acme/x", cardData={"license": "apache-2.0", "model-index": index})) as hub:
        ran = discover(hub, tmp_path)
    assert ran.found == ["acme/x"]
    captured = capfd.readouterr()
    assert "pwned" not in captured.out + captured.err


def test_start_up_imports_nothing_of_the_hub() -> None:
    script = (
        "import sys; sys.path.insert(0, 'scripts'); import mlactions.discover;"
        "import mlactions.discover.proposal;"
        "print([name for name in sys.modules if name.startswith(('huggingface_hub', 'httpx'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
