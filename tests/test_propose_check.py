"""propose check and publish: a change is run, claims are counted, a draft is opened."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlactions import markdown
from mlactions.bundle import digest, seal, write_json
from mlactions.comment.material import combine, gather
from mlactions.propose.junit import of_test, outcomes
from tests.ask_cases import git, write
from tests.fakes.github import READ_TOKEN, WRITE_TOKEN, FakeGitHub
from tests.fakes.github_git import files_of, load_commit
from tests.fakes.github_state import Fault
from tests.propose_support import (
    ANSWER,
    GOOD,
    GOOD_MODEL,
    NEW_TEST,
    TESTS,
    Done,
    edits,
    make_repository,
    propose,
    step,
    turns,
)

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
TEST = f"{PYTHON} -m pytest -q -p no:cacheprovider tests"
ADDED = f"{PYTHON} -m pytest -q -p no:cacheprovider --junitxml={{report}} {{tests}}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let Codex make the good change once: `repository`, `task/bundle`, and `checked`."""
    folder = tmp_path_factory.mktemp("made")
    repository = make_repository(folder)
    done = propose(folder, repository, *turns(*GOOD), options={"slug": "wider"})
    assert done.code == 0, done.said
    done = check(folder, tests="", lint="")
    assert done.code == 0, done.said
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    """Give a copy of it."""
    shutil.copytree(made, tmp_path / "here", symlinks=True)
    return tmp_path / "here"


def check(place: Path, *arguments: str, bundle: Path | None = None, **given: str) -> Done:
    options = {
        "bundle": str(bundle or place / "task/bundle"),
        "working-directory": str(place / "repository"),
        "out": str(place / "checked"),
        "lint": "test -f src/model.py",
        "tests": TEST,
        "added-tests": ADDED,
        "python": PYTHON,
        **{name.replace("_", "-"): value for name, value in given.items()},
    }
    names = [f"--{name}={value}" for name, value in options.items()]
    environ = {"PATH": os.environ["PATH"], "HOME": str(place)}
    return step(place, "check", *names, *arguments, bundle=place / "checked", **environ)


def change(place: Path, folder: Path, *commands: str, **answer: Any) -> Path:
    """Let Codex make another change of the same repository; return its bundle."""
    said = {**ANSWER, **answer}
    folder.mkdir()
    done = propose(folder, place / "repository", *turns(*commands, answer=said), options={})
    assert done.code == 0, done.said
    return done.bundle


def reasons(done: Done) -> list[str]:
    return [finding["reason"] for finding in done.result["findings"]]


def test_a_good_change_holds(place: Path) -> None:
    before = git(place / "repository", "status", "--porcelain")
    done = check(place)
    assert done.code == 0, done.said
    assert [(run["name"], run["outcome"]) for run in done.result["runs"]] == [
        ("lint", "passed"),
        ("tests", "passed"),
        ("tests as they were", "passed"),
    ]
    (model,) = done.result["models"]
    assert (model["claimed"], model["parameters"], model["trainable"]) == (1040, 1040, 1040)
    assert done.result["tests"] == [
        {
            "path": "tests/test_model.py",
            "name": "test_factor",
            "with": "passed",
            "without": "failed",
        }
    ]
    assert git(place / "repository", "status", "--porcelain") == before
    assert git(place / "repository", "worktree", "list").count("\n") == 0


def test_a_comment_shows_plan_evidence_and_what_nobody_verified(place: Path) -> None:
    material = gather([place / "task/bundle", place / "checked"], None)
    assert [problem.message for problem in material.problems] == []
    text = markdown.render(combine(material))
    for said in ("Let the width be doubled", "### Plan", "Add the factor.", "Not verified, says"):
        assert said in text
    for said in ("Parameters, claimed and counted", "1,040", "Added tests", "Nothing was trained"):
        assert said in text


def test_lint_and_tests_that_fail_are_said(place: Path) -> None:
    rewritten(place / "task/bundle", models=[], tests=[])
    done = check(place, lint="echo CANARY-LINT; exit 3", tests="exit 1")
    assert done.code == 1
    assert reasons(done) == ["lint-fails", "tests-fail", "old-tests-fail"]
    assert "CANARY-LINT" in (done.bundle / "report.md").read_text()


def test_nothing_configured_is_said_not_passed_over(place: Path) -> None:
    rewritten(place / "task/bundle", models=[], tests=[])
    done = check(place, lint="", tests="")
    assert done.code == 0, done.said
    assert "The change adds no tests." in done.result["unverified"]
    assert "No lint command is configured, so none was run." in done.result["unverified"]
    assert "No tests command is configured, so none was run." in done.result["unverified"]


def test_a_base_that_moved_does_not_apply(place: Path) -> None:
    model = place / "repository/src/model.py"
    model.write_text(model.read_text().replace("def build(width=8)", "def build(width=9)"))
    git(place / "repository", "commit", "-qam", "Wider")
    done = check(place)
    assert done.code == 1
    assert reasons(done) == ["does-not-apply"]
    assert done.result["runs"] == []


def test_a_base_that_moved_elsewhere_in_the_file_is_refused_too(place: Path) -> None:
    """It would apply, and would not be the file that is published."""
    model = place / "repository/src/model.py"
    model.write_text("# New.\n" + model.read_text())
    git(place / "repository", "commit", "-qam", "Comment")
    assert reasons(check(place)) == ["base-moved"]


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"parameters": 1041}, "claim-wrong"),
        ({"trainable": 0}, "claim-wrong"),
        ({"factory": "src.model:missing"}, "claim-not-built"),
        ({"arguments": '{"nonsense": 1}'}, "claim-not-built"),
    ],
)
def test_a_claim_is_counted(
    place: Path, tmp_path: Path, claim: dict[str, Any], reason: str
) -> None:
    models = [{**ANSWER["models"][0], **claim}]
    bundle = rewritten(place / "task/bundle", models=models, tests=[])
    done = check(place, bundle=bundle, lint="", tests="")
    assert done.code == 1
    assert reasons(done) == [reason]


def rewritten(bundle: Path, **changes: Any) -> Path:
    """Change the result of a bundle, sealed anew."""
    result = json.loads((bundle / "result.json").read_text())
    write_json(bundle / "result.json", {**result, **changes})
    seal(bundle, result["word"])
    return bundle


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("\n\ndef test_width_again():\n    assert build().width == 8\n", ["test-proves-nothing"]),
        ("\n\ndef test_factor():\n    assert build(factor=3).width == 16\n", ["added-test-fails"]),
        (f"\n\nimport os{NEW_TEST}\n\nif 'X' in os.environ:\n    raise SystemExit\n", []),
    ],
)
def test_added_tests_must_prove_something(
    place: Path, tmp_path: Path, test: str, found: list[str]
) -> None:
    commands = (edits("src/model.py", GOOD_MODEL), edits("tests/test_model.py", TESTS + test))
    done = check(place, bundle=change(place, tmp_path / "other", *commands), tests="")
    assert reasons(done) == found


def test_a_test_that_was_gutted_runs_as_it_was(place: Path, tmp_path: Path) -> None:
    broken = GOOD_MODEL.replace("return Net(width * factor)", "return Net(9 * factor)")
    gutted = TESTS.replace("assert build().width == 8", "assert build()")
    test = "\n\ndef test_factor():\n    assert build(factor=2).width == 18\n"
    commands = (edits("src/model.py", broken), edits("tests/test_model.py", gutted + test))
    bundle = change(place, tmp_path / "other", *commands, models=[])
    assert reasons(check(place, bundle=bundle)) == ["old-tests-fail"]
    done = check(place, bundle=bundle, tests="")
    assert reasons(done) == []
    assert any("tests/test_model.py" in text for text in done.result["unverified"])


def test_a_new_test_of_a_name_that_another_class_has_counts(place: Path, tmp_path: Path) -> None:
    test = "\n\nclass TestFactor:\n    def test_width(self):\n"
    test += "        assert build(factor=2).width == 16\n"
    commands = (edits("src/model.py", GOOD_MODEL), edits("tests/test_model.py", TESTS + test))
    done = check(place, bundle=change(place, tmp_path / "other", *commands), tests="")
    assert done.result["tests"] == [
        {
            "path": "tests/test_model.py",
            "name": "TestFactor.test_width",
            "with": "passed",
            "without": "failed",
        }
    ]


def test_a_module_where_commands_start_hides_none(place: Path, tmp_path: Path) -> None:
    """In a project that is a folder of the repository, Python looks there first."""
    bundle = change(place, tmp_path / "other", *GOOD, edits("src/pytest.py", ""), models=[])
    assert reasons(check(place, bundle=bundle, working_directory=f"{place}/repository/src")) == [
        "hides-module"
    ]


def test_added_tests_that_were_not_run_prove_nothing(place: Path) -> None:
    done = check(place, added_tests="true {tests} {report}")
    assert reasons(done) == ["added-test-fails"]
    assert done.result["tests"][0]["with"] == "not-run"


def test_a_time_limit_holds(place: Path) -> None:
    rewritten(place / "task/bundle", models=[], tests=[])
    done = check(place, lint="sleep 60", timeout_minutes="0.02", tests="")
    assert reasons(done) == ["lint-fails"]
    assert done.result["runs"][0]["outcome"] == "timed-out"


def test_what_was_changed_after_it_was_taken_is_no_change(place: Path) -> None:
    (place / "task/bundle/change.patch").write_text("")
    done = check(place)
    assert done.code == 2
    bundle = place / "task/bundle"
    result = json.loads((bundle / "result.json").read_text())
    (bundle / result["files"][0]["content"]).write_text("import os\n")
    seal(bundle, "propose")
    assert check(place).code == 2


TORCH = """\
import torch


def build(width=4):
    body = torch.nn.Linear(8, width)
    body.requires_grad_(False)
    return torch.nn.Sequential(body, torch.nn.Linear(width, 2))


def lazy():
    return torch.nn.LazyLinear(3)
"""


def test_a_frozen_backbone_of_torch_is_counted(place: Path) -> None:
    """36 frozen parameters of the body, 10 trained ones of the head; a lazy layer has no size."""
    python = ROOT / ".tools/example/bin/python"
    assert python.is_file(), "make .tools/example/ready installs the Python with torch"
    write(place / "repository/backbone.py", TORCH)
    git(place / "repository", "add", "-A")
    git(place / "repository", "commit", "-qm", "Backbone")
    claim = {"arguments": "{}", "parameters": 46, "trainable": 10}
    models = [{**claim, "factory": f"backbone:{name}"} for name in ("build", "lazy")]
    bundle = rewritten(place / "task/bundle", models=models, tests=[])
    done = check(place, bundle=bundle, lint="", tests="", python=str(python))
    counted = [(m["parameters"], m["trainable"]) for m in done.result["models"]]
    assert counted == [(46, 10), (None, None)]
    assert reasons(done) == ["claim-not-built"]


def test_junit() -> None:
    text = """<testsuites><testsuite><testcase classname="tests.test_x" name="test_a[1]"/>
    <testcase classname="tests.test_x" name="test_a[2]"><failure/></testcase>
    <testcase classname="tests.test_x.TestA" name="test_a"/>
    <testcase classname="test_y" name="test_b"><skipped/></testcase><testcase name="test_c"/>
    </testsuite></testsuites>"""
    found = outcomes(text)
    assert found == {
        "tests.test_x.test_a": "failed",
        "tests.test_x.TestA.test_a": "passed",
        "test_y.test_b": "not-run",
        "test_c": "passed",
    }
    assert of_test(found, "tests/test_x.py", "test_a") == "failed"
    assert of_test(found, "tests/test_x.py", "TestA.test_a") == "passed"
    assert of_test(found, "tests/test_z.py", "test_a") is None
    for bad in ("", "<a", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        with pytest.raises(ValueError, match="it"):
            outcomes(bad)


@pytest.fixture
def hub(place: Path) -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        load_commit(fake.store, place / "repository", "main")
        yield fake


Publish = Callable[..., Done]


@pytest.fixture
def publish(place: Path, hub: FakeGitHub) -> Publish:
    """Publish what was checked: `publish(token=…, event=…)`."""
    taken = digest(place / "task/bundle/manifest.json")

    def start(
        token: str = WRITE_TOKEN, event: str = "workflow_dispatch", sha256: str = taken
    ) -> Done:
        environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_API_URL": hub.url,
            "GITHUB_REPOSITORY": "octo/digits",
            "GITHUB_SERVER_URL": "https://github.example",
            "GITHUB_RUN_ID": "99",
        }
        names = {
            "bundle": place / "task/bundle",
            "checked": place / "checked",
            "sha256": sha256,
            "token": token,
            "out": place / "published",
        }
        arguments = [f"--{name}={value}" for name, value in names.items()]
        return step(place, "publish", *arguments, bundle=place / "published", **environ)

    return start


def test_a_draft_is_opened_and_updated(publish: Publish, hub: FakeGitHub) -> None:
    done = publish()
    assert done.code == 0, done.said
    (pull,) = hub.store.pulls.values()
    assert (pull.draft, pull.head_ref, pull.base_ref) == (True, "mlactions/propose/wider", "main")
    assert pull.title == "Let the width be doubled"
    assert "Evidence" in pull.body
    assert "Nothing was trained" in pull.body
    assert "https://github.example/octo/digits/actions/runs/99" in pull.body
    files = files_of(hub.store, "mlactions/propose/wider")
    assert files["src/model.py"] == GOOD_MODEL.encode()
    assert set(files) == set(files_of(hub.store, "main"))
    commit = hub.store.objects[hub.store.branches["mlactions/propose/wider"]]
    assert commit["parents"] == [hub.store.branches["main"]]
    assert "Mlactions-Propose: wider" in commit["message"]
    again = publish()
    assert again.result["outcome"] == "updated"
    assert len(hub.store.pulls) == 1
    assert hub.store.branches["main"] == commit["parents"][0]


def test_a_base_that_moved_is_not_written_over(
    publish: Publish, hub: FakeGitHub, place: Path
) -> None:
    model = place / "repository/src/model.py"
    model.write_text(model.read_text() + "# More.\n")
    git(place / "repository", "commit", "-qam", "More")
    load_commit(hub.store, place / "repository", "main")
    done = publish()
    assert done.code == 1
    assert reasons(done) == ["base-moved"]
    assert hub.count("POST") == 0


def test_a_base_that_moved_in_other_files_is_built_upon(
    publish: Publish, hub: FakeGitHub, place: Path
) -> None:
    write(place / "repository/src/other.py", "x = 1\n")
    git(place / "repository", "add", "-A")
    git(place / "repository", "commit", "-qm", "Other")
    tip = load_commit(hub.store, place / "repository", "main")
    assert publish().code == 0
    (pull,) = hub.store.pulls.values()
    assert "the branch has moved, in other files only" in pull.body
    assert hub.store.objects[pull.head_sha]["parents"] == [tip]
    assert "src/other.py" in files_of(hub.store, "mlactions/propose/wider")


def test_a_person_s_commit_on_the_branch_is_left_alone(publish: Publish, hub: FakeGitHub) -> None:
    hub.store.branches["mlactions/propose/wider"] = hub.store.branches["main"]
    done = publish()
    assert reasons(done) == ["branch-not-ours"]
    assert hub.count("POST") + hub.count("PATCH") == 0


def test_what_was_not_checked_is_not_published(
    publish: Publish, hub: FakeGitHub, place: Path
) -> None:
    rewritten(place / "checked", status="fail", proposal="0" * 64)
    done = publish()
    assert reasons(done) == ["other-change", "check-failed"]
    assert hub.requests == []


def test_the_gates_hold_for_the_writer_too(publish: Publish, hub: FakeGitHub, place: Path) -> None:
    """A bundle that was made up, and checked as such, still may not touch a workflow."""
    result = json.loads((place / "task/bundle/result.json").read_text())
    result["files"][0]["path"] = ".github/workflows/ci.yml"
    bundle = rewritten(place / "task/bundle", files=result["files"])
    sha256 = digest(bundle / "manifest.json")
    rewritten(place / "checked", proposal=sha256)
    assert reasons(publish(sha256=sha256)) == ["forbidden-path"]
    assert hub.requests == []


def test_a_change_put_in_the_place_of_what_was_taken_is_not_published(
    publish: Publish, hub: FakeGitHub, place: Path
) -> None:
    """Whoever runs the change can replace both artifacts, and the rules with them."""
    result = json.loads((place / "task/bundle/result.json").read_text())
    result["files"][0]["path"] = "Makefile"
    rules = {**result["rules"], "allow": ["Makefile", "*.py"], "max_files": 200}
    bundle = rewritten(place / "task/bundle", files=result["files"], rules=rules)
    rewritten(place / "checked", proposal=digest(bundle / "manifest.json"))
    assert "not-what-was-taken" in reasons(publish())
    assert hub.requests == []
    assert check(place, sha256="0" * 64).code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"event": "pull_request"}, "workflow_dispatch"),
        ({"token": ""}, "`token` is empty"),
        ({"token": READ_TOKEN}, "Resource not accessible by integration"),
    ],
)
def test_what_may_not_write(
    publish: Publish, hub: FakeGitHub, given: dict[str, str], said: str
) -> None:
    done = publish(**given)
    assert done.code == 2
    assert said in done.said
    assert hub.store.pulls == {}


def test_a_lost_answer_opens_no_second_draft(publish: Publish, hub: FakeGitHub) -> None:
    hub.faults.append(Fault.lost_reply("POST", "/pulls"))
    done = publish()
    assert done.code == 0, done.said
    assert len(hub.store.pulls) == 1


def test_hostile_words_stay_words(publish: Publish, hub: FakeGitHub, place: Path) -> None:
    hostile = "Fixes #1 @octo <img src=x> [skip ci] <!-- x --> `a`\n::error::x"
    bundle = rewritten(
        place / "task/bundle",
        title=hostile.replace("\n", " "),
        summary=hostile,
        plan=[hostile],
        unverified=[hostile],
    )
    sha256 = digest(bundle / "manifest.json")
    rewritten(place / "checked", proposal=sha256)
    assert publish(sha256=sha256).code == 0
    (pull,) = hub.store.pulls.values()
    message = hub.store.objects[pull.head_sha]["message"]
    for text in (pull.title, pull.body.split("-->", 1)[1], message):
        assert "#1" not in text
        assert "@octo" not in text
        assert "<!--" not in text
    assert "[skip ci]" not in pull.title + message
    assert "<img" not in pull.body.replace("\\<img", "")
