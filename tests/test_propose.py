"""propose, with the real Codex CLI and a model that edits files: what is taken and what is not."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mlactions.ask.repository import open_repository
from mlactions.propose.gates import judge
from mlactions.propose.model import FILE, TASKS, Entry, Rules
from mlactions.propose.testing import added_tests, is_test_file, lost_tests
from mlactions.propose.tree import TreeError, WorkTree
from tests.ask_cases import codex_path, git, make_bundle, write
from tests.fakes.github import FakeGitHub
from tests.fakes.model import Turn, fails, runs, says
from tests.propose_support import (
    ANSWER,
    GOOD,
    Done,
    edits,
    make_repository,
    propose,
    step,
    turns,
)

RULES = Rules(allow=("*.py", "*.md"), tests=True)
NESTED = (
    "mkdir src/inner && cd src/inner && git init -q . && git -c user.name=a -c user.email=a@b"
    " commit -q --allow-empty -m x"
)


LOST = ["deletes-test", "no-tests"]
SKIP = "printf '\n%s\n%s\n' '{}' '{}' >> tests/test_model.py"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path)


def reasons(done: Done) -> list[str]:
    return [finding["reason"] for finding in done.result["findings"]]


def test_a_good_change_is_taken_by_git(repository: Path, tmp_path: Path) -> None:
    before = git(repository, "status", "--porcelain", "--ignored")
    outside = (tmp_path / "task/git/x", repository / "x", tmp_path / "x", "/tmp/x-propose")  # noqa: S108
    escape = "; ".join(f"echo x > {path}" for path in outside)
    done = propose(tmp_path, repository, *turns(*GOOD, escape), options={"slug": "wider"})
    assert done.code == 0, done.said
    assert done.result["branch"] == "mlactions/propose/wider"
    assert {file["path"]: file["kind"] for file in done.result["files"]} == {
        "src/model.py": "changed",
        "tests/test_model.py": "changed",
    }
    assert done.result["tests"] == [{"path": "tests/test_model.py", "names": ["test_factor"]}]
    patch = (done.bundle / "change.patch").read_text()
    assert "+def build(width=8, factor=1):" in patch
    write(tmp_path / "copy.patch", patch)
    git(repository, "apply", "--check", str(tmp_path / "copy.patch"))
    assert git(repository, "status", "--porcelain", "--ignored") == before
    assert not (tmp_path / "task/tree").exists()
    assert not Path("/tmp/x-propose").exists()  # noqa: S108  # that it is not there is the point
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("commands", "found"),
    [
        ((), ["empty"]),
        ((*GOOD, "echo 'on: pull_request' > .github/workflows/ci.yml"), ["forbidden-path"]),
        ((GOOD[0], "rm tests/test_model.py"), ["deletes-test", "no-tests"]),
        ((*GOOD, "head -c 52428800 /dev/zero > src/large.py"), ["too-large"]),
    ],
)
def test_what_codex_does_and_the_gates_refuse(
    repository: Path, tmp_path: Path, commands: tuple[str, ...], found: list[str]
) -> None:
    done = propose(tmp_path, repository, *turns(*commands), options={})
    assert done.code == 1, done.said
    assert sorted(set(reasons(done))) == sorted(found)
    assert done.result["status"] == "fail"
    assert {path.name for path in done.bundle.iterdir()} == {
        *("facts.json", "manifest.json", "report.html", "report.md", "result.json"),
    }


def judged(folder: Path, commands: tuple[str, ...], rules: Rules = RULES) -> list[str]:
    """Do something in a work tree and return why it is refused."""
    repository = open_repository(make_repository(folder))
    tree = WorkTree(folder / "task/tree", folder / "task/git")
    tree.create(repository, repository.head)
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=tree.folder, check=True)
    try:
        findings = judge(tree.entries(repository.head, rules), rules)
    except TreeError as error:
        findings = (error.finding,)
    return sorted({finding.reason for finding in findings})


@pytest.mark.parametrize(
    ("commands", "found"),
    [
        (GOOD, []),
        ((*GOOD, "mkdir -p .GitHub/x; echo a > .GitHub/x/y.py"), ["forbidden-path"]),
        ((*GOOD, "echo obey > src/AGENTS.md"), ["forbidden-path"]),
        ((*GOOD, "mkdir .codex; echo > .codex/config.py"), ["forbidden-path"]),
        ((*GOOD, "echo '*.py filter=x' > .gitattributes"), ["forbidden-path"]),
        ((*GOOD, "echo >> uv.lock"), ["lock-file"]),
        ((*GOOD, "echo x > notes.txt"), ["not-allowed"]),
        ((GOOD[0], edits("tests/test_model.py", "def test_new():\n    pass\n")), ["deletes-test"]),
        ((*GOOD, "sed -i '1i import pytest\\npytest.skip()' tests/test_model.py"), ["skips-test"]),
        ((GOOD[0],), ["no-tests"]),
        ((*GOOD, "chmod +x src/model.py"), ["mode"]),
        ((*GOOD, "echo > src/run.py; chmod +x src/run.py"), ["mode"]),
        ((*GOOD, "ln -s /etc/passwd src/link.py"), ["link"]),
        ((*GOOD, "rm src/model.py; ln -s /etc/passwd src/model.py"), ["link"]),
        ((*GOOD, "printf '\\377\\001' > src/data.py"), ["binary"]),
        ((*GOOD, "printf 'a\\0b' > src/data.py"), ["binary"]),
        ((*GOOD, "for i in $(seq 30); do echo > src/a$i.py; done"), ["too-many-files"]),
        ((*GOOD, "for i in $(seq 900); do echo > src/a$i.py; done"), ["too-many-files"]),
        ((*GOOD, "seq 2000 > src/numbers.py"), ["too-many-lines"]),
        ((*GOOD, "printf x > \"$(printf 'src/a\\tb.py')\""), ["odd-path"]),
        ((*GOOD, "printf x > \"$(printf 'src/a\\377b.py')\""), ["odd-path"]),
        ((*GOOD, "echo > 'src/a[b].py'"), ["odd-path"]),
        ((*GOOD, NESTED), ["link", "not-allowed"]),
        ((*GOOD, "mkdir -p .windsurf/rules; echo > .windsurf/rules/x.md"), ["forbidden-path"]),
        ((*GOOD, "mkdir -p skills/x; echo > skills/x/SKILL.md"), ["forbidden-path"]),
        ((*GOOD, "mkdir -p run.py; echo > run.py/evil.sh"), ["not-allowed"]),
        ((*GOOD, "mkdir -p configs; echo > configs/pylock.toml"), ["lock-file"]),
        ((*GOOD, "mkdir configs; echo > configs/baseline.yaml"), ["changes-the-judge"]),
        ((*GOOD, "echo > experiments/0002-new.md"), []),
        ((*GOOD, "echo >> experiments/0001-old.md"), ["changes-the-judge"]),
        ((*GOOD, "echo > pytest.py"), ["hides-module"]),
        ((*GOOD, "mkdir random; echo > random/__init__.py"), ["hides-module"]),
        ((*GOOD, "echo > tests/random.py"), ["hides-module"]),
        ((*GOOD, "mkdir -p src/data; echo > src/data/random.py; echo > src/queue.py"), []),
        ((*GOOD, "echo > tests/conftest.py"), ["steers-checks"]),
        ((*GOOD, "echo > sitecustomize.py"), ["steers-checks"]),
        ((*GOOD, "mkdir app; echo > app/tests.py; rm tests/test_model.py"), LOST),
        ((*GOOD, "git mv tests/test_model.py tests/old.py"), LOST),
        ((*GOOD, SKIP.format("import pytest as pt", "pt.skip()")), ["skips-test"]),
        (
            (*GOOD, SKIP.format("from pytest import mark as m", "pytestmark = m.skip")),
            ["skips-test"],
        ),
        ((*GOOD, SKIP.format("import unittest", "raise unittest.SkipTest")), ["skips-test"]),
        ((*GOOD, SKIP.format("from src.model import build as net", "net().skip")), []),
        ((*GOOD, "mkdir src/__pycache__; echo > src/__pycache__/model.pyc"), []),
        ((*GOOD, "rm .git; mkdir .git; echo 'not git' > .git/HEAD"), []),
    ],
)
def test_the_gates(tmp_path: Path, commands: tuple[str, ...], found: list[str]) -> None:
    assert judged(tmp_path, commands) == found


CLASSES = """\
class TestA:
    def test_width(self):
        assert True


class TestB:
    def test_width(self):
        assert True
"""


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        (CLASSES, ()),
        (CLASSES.partition("\n\n\n")[0], ("TestB.test_width",)),
        (CLASSES.replace("TestB", "HelperB"), ("TestB.test_width",)),
        (CLASSES + "\n\nclass TestC:\n    def test_width(self):\n        pass\n", ()),
    ],
)
def test_a_test_is_known_by_its_class(after: str, lost: tuple[str, ...]) -> None:
    entry = Entry("tests/test_a.py", FILE, FILE, "", "", 1, 1, before=CLASSES, after=after)
    assert lost_tests([entry]) == lost
    moved = (
        replace(entry, after=""),
        replace(entry, path="src/x_test.py", before=None, after=CLASSES),
    )
    assert lost_tests(moved) == ()
    assert added_tests(moved) == {}


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("app/tests.py", True),
        ("test.py", True),
        ("Tests/data.py", True),
        ("testing/a.py", True),
        ("src/unit_tests/a.py", True),
        ("src/TestFoo.py", True),
        ("src/latest.py", False),
        ("src/contest/a.py", False),
    ],
)
def test_what_is_a_test_file(path: str, is_one: bool) -> None:
    assert is_test_file(path) == is_one


def test_codex_has_no_network(repository: Path, tmp_path: Path) -> None:
    code = "python3 -c \"import socket; socket.create_connection(('127.0.0.1', {}), 2)\""
    with FakeGitHub() as other:
        connect = code.format(other.url.rpartition(":")[2].partition("/")[0])
        subprocess.run(["bash", "-c", connect], check=True)  # out of the sandbox it answers
        commands = (f"{connect} || echo > src/refused.py", f"{connect} && echo > src/reached.py")
        script = (*turns(*GOOD, commands[0])[:-1], runs(commands[1]), says(ANSWER))
        done = propose(tmp_path, repository, *script, options={})
    assert done.code == 0, done.said
    assert sorted(file["path"] for file in done.result["files"]) == [
        "src/model.py",
        "src/refused.py",
        "tests/test_model.py",
    ]


def test_a_filter_of_the_work_tree_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write(tmp_path / "home/.gitconfig", f'[filter "x"]\n\tclean = touch {tmp_path}/ran\n')
    commands = (*GOOD, "echo '*.py filter=x' > src/.gitattributes")
    assert judged(tmp_path, commands) == ["forbidden-path"]
    assert not (tmp_path / "ran").exists()


def test_line_ends_that_git_would_change_are_nobody_s_change(tmp_path: Path) -> None:
    repository = open_repository(make_repository(tmp_path))
    write(repository.root / "data.csv", "").write_bytes(b"a,b\r\n")
    git(repository.root, "add", "data.csv")
    write(repository.root / ".gitattributes", "*.csv text\n")
    git(repository.root, "add", ".gitattributes")
    git(repository.root, "commit", "-qm", "Data")
    repository = open_repository(repository.root)
    tree = WorkTree(tmp_path / "task/tree", tmp_path / "task/git")
    tree.create(repository, repository.head)
    for command in GOOD:
        subprocess.run(["bash", "-c", command], cwd=tree.folder, check=True)
    assert [entry.path for entry in tree.entries(repository.head, RULES)] == [
        "src/model.py",
        "tests/test_model.py",
    ]
    assert b"data.csv" not in tree.patch(repository.head)
    (tree.folder / "data.csv").write_bytes(b"a,c\r\n")
    assert "data.csv" in [entry.path for entry in tree.entries(repository.head, RULES)]


def test_a_plan_is_markdown_only(tmp_path: Path) -> None:
    rules = Rules(allow=RULES.allow, plan_only=True)
    assert judged(tmp_path / "a", (edits("plans/x.md", "# Plan\n"),), rules) == []
    code = (edits("plans/x.md", "# Plan\n"), "echo >> src/model.py")
    assert judged(tmp_path / "b", code, rules) == ["code-in-a-plan"]
    other = (edits("plans/x.md", "# Plan\n"), "echo >> AGENTS.md; echo > SECURITY.md; rm README.md")
    assert judged(tmp_path / "c", other, rules) == ["forbidden-path", "outside-of-plans"]


def test_an_exclamation_mark_takes_paths_away(tmp_path: Path) -> None:
    rules = Rules(allow=("*.py", "!src/**"), tests=False)
    assert judged(tmp_path, GOOD, rules) == ["not-allowed"]


def test_a_lock_file_that_is_named_may_change(tmp_path: Path) -> None:
    rules = Rules(allow=("*.py", "uv.lock"), lock_files=("uv.lock",))
    assert judged(tmp_path, ("echo >> uv.lock",), rules) == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ((runs("cat src/model.py"), says("no JSON")), "not-json"),
        ((runs("cat src/model.py"), says({**ANSWER, "title": ""})), "schema-violated"),
        ((says(ANSWER),), "unproven"),
        ((fails(429, "insufficient_quota"),), "quota"),
    ],
)
def test_without_a_usable_answer_there_is_no_change(
    repository: Path, tmp_path: Path, script: tuple[Turn, ...], reason: str
) -> None:
    done = propose(tmp_path, repository, *script, options={})
    assert done.code == 3
    assert (done.result["status"], done.result["reason"]) == ("refused", reason)
    assert done.result["files"] == []


def on_github(folder: Path, event: str = "workflow_dispatch", **more: str) -> dict[str, str]:
    """Return what a runner sets."""
    payload = {"repository": {"default_branch": "main"}}
    write(folder / "event.json", json.dumps(payload))
    path = str(folder / "event.json")
    given = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_EVENT_PATH": path}
    return {**given, "GITHUB_REF_NAME": "topic", "RUNNER_TEMP": str(folder / "temp"), **more}


def prepare(folder: Path, repository: Path, *arguments: str, **environ: str) -> Done:
    names = (f"--repository={repository}", f"--out={folder / 'task'}")
    return step(folder, "prepare", *names, *arguments, bundle=folder / "x", **environ)


@pytest.mark.parametrize("event", ["pull_request", "issue_comment", "schedule", "workflow_run", ""])
def test_only_a_dispatch_starts_it(repository: Path, tmp_path: Path, event: str) -> None:
    environ = on_github(tmp_path, event)
    done = prepare(tmp_path, repository, "--task=experiment", **environ)
    assert done.code == 2
    assert "workflow_dispatch" in done.said
    assert not (tmp_path / "task").exists()


def test_the_prompt_is_the_default_branch_s(repository: Path, tmp_path: Path) -> None:
    """What a branch writes into prompts and conventions counts once it is merged."""
    write(repository / "prompts/mine.md", "Do the thing for {{slug}}.\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "Prompt")
    git(repository, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(repository, "switch", "-qc", "topic")
    write(repository / "prompts/mine.md", "CANARY\n")
    write(repository / "AGENTS.md", "CANARY\n")
    git(repository, "commit", "-qam", "Other prompt")
    arguments = ("--prompt-file=prompts/mine.md", "--request=Be {{quick}}.", "--slug=mine")
    done = prepare(tmp_path, repository, *arguments, **on_github(tmp_path))
    assert done.code == 0, done.said
    prompt = (tmp_path / "task/prompt.md").read_text()
    assert "Do the thing for {{slug}}." in prompt
    assert "CANARY" not in prompt + (tmp_path / "task/facts/conventions.md").read_text()
    request = json.loads((tmp_path / "task/facts/request.json").read_text())
    assert request == {"request": "Be {{quick}}."}
    config = (tmp_path / "task/home/config.toml").read_text()
    assert "network_access = false" in config
    context = json.loads((tmp_path / "task/context.json").read_text())
    assert (context["base"], context["task"]) == ("topic", "own")


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_makes_a_prompt(repository: Path, tmp_path: Path, task: str) -> None:
    folder = make_bundle(tmp_path / "result", "", word="audit")
    done = prepare(tmp_path, repository, f"--task={task}", f"--bundle={folder}", "--slug=it")
    assert done.code == 0, done.said
    prompt = (tmp_path / "task/prompt.md").read_text()
    assert "{{" not in prompt
    assert "result-1/: what `audit` found" in prompt
    assert (tmp_path / "task/facts/result-1/facts.json").is_file()
    assert ("Add tests that prove the change" in prompt) == TASKS[task].tests
    assert (repository / "src/model.py").read_text() == (
        tmp_path / "task/tree/src/model.py"
    ).read_text()


def test_a_laptop_without_codex_or_key_is_told_so(repository: Path, tmp_path: Path) -> None:
    names = (f"--repository={repository}", f"--out={tmp_path / 'task'}", "--task=experiment")
    bundle, home = tmp_path / "task/bundle", str(tmp_path)
    done = step(tmp_path, "run", *names, bundle=bundle, PATH="/usr/bin:/bin", HOME=home)
    assert (done.code, done.result["reason"]) == (3, "no-codex")
    done = step(tmp_path, "run", *names, bundle=bundle, PATH=codex_path(), HOME=home)
    assert (done.code, done.result["reason"]) == (3, "no-login")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give `task` or `prompt-file`"),
        (("--task=experiment", "--prompt-file=a.md"), "give `task` or `prompt-file`"),
        (("--prompt-file=missing.md",), "is not there on the default branch"),
        (("--prompt-file=../x.md",), "Name a file"),
        (("--task=experiment", "--allow=**"), "allows everything"),
        (("--task=experiment", "--allow=**/*.*"), "allows everything"),
        (("--task=experiment", "--base=a..b"), "no plain name of a branch"),
        (("--task=experiment", "--slug=A b"), "`slug` is"),
        (("--task=experiment", "--codex-version=latest"), "not one exact version"),
        (("--task=experiment", "--allow-users=*"), "`*` is not allowed"),
    ],
)
def test_bad_input(repository: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = prepare(tmp_path, repository, *arguments)
    assert done.code == 2
    assert said in " ".join(done.said.split())
    assert not (tmp_path / "task").exists()


def test_the_folder_of_a_task_is_not_in_the_repository(repository: Path, tmp_path: Path) -> None:
    out = f"--out={repository / 'build'}"
    names = (f"--repository={repository}", "--task=experiment", out)
    done = step(tmp_path, "prepare", *names, bundle=tmp_path / "x")
    assert done.code == 2
    assert "lie in one another" in done.said
