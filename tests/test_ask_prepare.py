"""The question: what Codex is given, and what it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlactions.ask.evidence import LOG_TAIL_BYTES, MAX_FACTS, MAX_LOGS, collect
from mlactions.ask.prompt import Supplied, compose
from mlactions.bundle import seal, write_json
from mlactions.errors import UserError
from mlactions.schema import resource
from tests.ask_cases import (
    ACCURACY,
    CRASH,
    FACTS,
    Project,
    ask,
    git,
    make_bundle,
    make_crash,
    make_project,
    prepare,
    write,
)
from tests.fakes.strict_schema import strict_schema_fault

NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"'


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a pull request that raises the learning rate, and the failed comparison."""
    return make_project(tmp_path)


def files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_outputs_name_what_codex_action_needs(project: Project) -> None:
    ran = prepare(project)
    workspace = project.workspace
    assert ran.code == 0
    assert ran.outputs == {
        "ask": "true",
        "status": "pass",
        "prompt-file": str(workspace.prompt),
        "output-schema-file": str(workspace.schema),
        "output-file": str(workspace.answer),
        "codex-home": str(workspace.home),
        "working-directory": str(workspace.facts),
        "tracking-uri": "",
    }
    assert set(files(project.out)) == {
        "prompt.md",
        "answer.schema.json",
        "context.json",
        "home/config.toml",
        "facts/facts.json",
        "facts/results.json",
        "facts/metrics.json",
        "facts/diff.patch",
        "facts/conventions.md",
    }


def test_everything_can_be_read_by_another_user(project: Project) -> None:
    os.umask(old := os.umask(0o077))
    os.umask(0o077)
    try:
        prepare(project)
    finally:
        os.umask(old)
    for path in (project.out, *project.out.rglob("*")):
        assert not path.is_symlink()
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_nothing_that_others_wrote_is_in_the_prompt(project: Project, tmp_path: Path) -> None:
    crash = make_crash(tmp_path / "evaluate", project.head)
    assert prepare(project, "--bundle", str(crash)).code == 0
    prompt = project.workspace.prompt.read_text()
    assert "CANARY" not in prompt
    assert "digits_cnn" not in prompt
    assert "{{" not in prompt
    assert "Why did these metrics move?" in prompt
    assert "Why did these evaluations fail?" in prompt
    assert f"\n    {project.repository}\n" in prompt
    assert "`logs.json`" in prompt
    assert "digits_vit" not in prompt


def test_conventions_come_from_the_base_not_from_the_pull_request(project: Project) -> None:
    prepare(project)
    assert (project.workspace.facts / "conventions.md").read_text() == "Metrics are float32.\n"
    assert "CANARY-AGENTS" in (project.workspace.facts / "diff.patch").read_text()


def test_without_a_base_they_come_from_the_head(project: Project) -> None:
    names = ("--bundle", str(project.bundle), "--repository", str(project.repository))
    step, out = project.out.parent / "step", ("--out", str(project.out))
    for given in ({"GITHUB_EVENT_NAME": "push"}, {"GITHUB_ACTIONS": ""}):
        ask(step, "prepare", *names, *out, **given)
        assert "CANARY-AGENTS" in (project.workspace.facts / "conventions.md").read_text()
        assert not (project.workspace.facts / "diff.patch").exists()


@pytest.mark.parametrize(
    ("event", "trusted"),
    [
        *((name, True) for name in ("push", "schedule", "workflow_dispatch", "release")),
        ("repository_dispatch", True),
        *((name, False) for name in ("pull_request", "pull_request_target", "issue_comment", "")),
        *((name, False) for name in ("workflow_run", "merge_group", "pull_request_review")),
    ],
)
def test_a_head_that_strangers_may_have_written_gives_no_conventions(
    project: Project, event: str, trusted: bool
) -> None:
    names = ("--bundle", str(project.bundle), "--repository", str(project.repository))
    step = project.out.parent / "step"
    ran = ask(step, "prepare", *names, "--out", str(project.out), GITHUB_EVENT_NAME=event)
    assert ran.code == 0
    assert (project.workspace.facts / "conventions.md").exists() == trusted
    assert ("AGENTS.md" in ran.said) != trusted
    assert "There is no diff" in project.workspace.prompt.read_text()


def test_a_base_that_is_not_in_the_clone_gives_neither(project: Project) -> None:
    ran = prepare(project, "--base-ref", "1" * 40)
    assert ran.code == 0
    assert "fetch-depth: 0" in ran.said
    assert not (project.workspace.facts / "diff.patch").exists()
    assert not (project.workspace.facts / "conventions.md").exists()


def test_a_base_without_common_history_gives_no_diff(project: Project) -> None:
    git(project.repository, "checkout", "-q", "--orphan", "other")
    git(project.repository, "commit", "-qm", "Other")
    orphan = git(project.repository, "rev-parse", "HEAD")
    git(project.repository, "checkout", "-q", "main")
    ran = prepare(project, "--base-ref", orphan)
    assert "No merge base" in ran.said
    assert not (project.workspace.facts / "diff.patch").exists()


def test_a_huge_diff_is_cut(project: Project) -> None:
    write(project.repository / "data.csv", "1,2,3\n" * 300_000)
    git(project.repository, "add", "-A")
    git(project.repository, "commit", "-qm", "Data")
    prepare(project)
    text = (project.workspace.facts / "diff.patch").read_text()
    assert 1_000_000 < len(text) < 1_100_000
    assert text.endswith("[the rest of the diff is left out]\n")


def test_no_program_of_the_repository_makes_the_diff(project: Project) -> None:
    git(project.repository, "config", "diff.external", "/bin/false")
    git(project.repository, "config", "diff.loud.textconv", "sh -c 'echo CANARY-TEXTCONV' --")
    git(project.repository, "config", "core.fsmonitor", "touch CANARY-FSMONITOR; false")
    write(project.repository / ".gitattributes", "*.py diff=loud\n")
    git(project.repository, "add", "-A")
    git(project.repository, "commit", "-qm", "Attributes")
    (project.repository / "CANARY-FSMONITOR").unlink(missing_ok=True)
    prepare(project)
    text = (project.workspace.facts / "diff.patch").read_text()
    assert "-learning_rate = 0.01" in text
    assert "CANARY-TEXTCONV" not in text
    assert not (project.repository / "CANARY-FSMONITOR").exists()


def test_a_checkout_of_another_user_is_read(project: Project) -> None:
    names = ["--bundle", str(project.bundle), "--repository", str(project.repository)]
    launch = [sys.executable, "-I", str(resource("scripts")), "ask", "prepare", *names]
    environment = {"PATH": os.environ["PATH"], "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    plain = ["git", "-C", str(project.repository), "status"]
    refused = subprocess.run(plain, env=environment, capture_output=True, check=False)
    assert refused.returncode == 128, "git does not mind here"
    done = subprocess.run(
        [*launch, "--out", str(project.out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_long_conventions_are_cut(project: Project) -> None:
    write(project.repository / "AGENTS.md", "x" * 40_000)
    git(project.repository, "commit", "-qam", "Conventions")
    head = git(project.repository, "rev-parse", "HEAD")
    prepare(project, "--base-ref", head)
    assert len((project.workspace.facts / "conventions.md").read_text()) == 32 * 1024


def test_the_same_inputs_give_the_same_bytes(project: Project) -> None:
    prepare(project)
    first = files(project.out)
    prepare(project)
    assert files(project.out) == first


def test_what_an_earlier_question_left_is_removed(project: Project) -> None:
    prepare(project)
    for path in (project.workspace.answer, project.workspace.facts / "logs/9.log"):
        write(path, "stale")
    session = write(project.workspace.home / "sessions/2026/01/01/rollout-1.jsonl", "{}")
    prepare(project)
    assert not project.workspace.answer.exists()
    assert not (project.workspace.facts / "logs").exists()
    context = json.loads(project.workspace.context.read_text())
    assert context["sessions"] == [session.relative_to(project.workspace.home).as_posix()]


def test_the_answer_schema_is_one_that_strict_mode_takes(project: Project) -> None:
    prepare(project)
    assert strict_schema_fault(json.loads(project.workspace.schema.read_text())) is None


def test_the_end_of_the_log_of_a_failed_evaluation_is_supplied(project: Project) -> None:
    make_crash(project.out.parent / "evaluate", project.head)
    prepare(project, "--bundle", str(project.out.parent / "evaluate"))
    log = (project.workspace.facts / "logs/1.log").read_text()
    assert len(log) == LOG_TAIL_BYTES
    assert log.endswith("CANARY-LOG: 64, got 48\n")
    assert json.loads((project.workspace.facts / "logs.json").read_text()) == [
        {
            "file": "logs/1.log",
            "called": "logs/head/digits_vit/seed-1.log",
            "model": "digits_vit",
            "side": "head",
            "seed": 1,
            "outcome": "crashed",
        }
    ]
    facts = json.loads((project.workspace.facts / "facts.json").read_text())["facts"]
    assert [fact["id"] for fact in facts] == [ACCURACY, CRASH]
    metrics = json.loads((project.workspace.facts / "metrics.json").read_text())
    assert metrics["head"] == {"digits_vit": {"loss": [0.125]}}
    assert metrics["seeds"] == [0, 1]


@pytest.mark.parametrize("status", ["pass", "skipped"])
def test_when_all_is_well_nothing_is_asked(tmp_path: Path, status: str) -> None:
    project = make_project(tmp_path, status=status)
    ran = prepare(project)
    assert (ran.outputs["ask"], ran.outputs["status"]) == ("false", "skipped")
    assert "nothing-to-explain" in ran.said
    assert prepare(project, "--when", "always").outputs["ask"] == "true"


def test_a_warning_is_worth_asking_about(tmp_path: Path) -> None:
    assert prepare(make_project(tmp_path, status="warn")).outputs["ask"] == "true"


def test_without_a_key_nothing_is_asked(project: Project) -> None:
    step = project.out.parent / "step"
    names = {"INPUT_BUNDLE": f"{project.bundle}\n", "INPUT_OUT": str(project.out)}
    names |= {"INPUT_REPOSITORY": str(project.repository), "INPUT_HAS_KEY": "false"}
    environment = {**os.environ, **names, "GITHUB_OUTPUT": str(step), "INPUT_MODEL": ""}
    launch = [sys.executable, "-I", str(resource("scripts")), "ask", "prepare"]
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ask<<" in step.read_text()
    assert "Codex is not asked: no-key." in done.stderr


def test_a_dead_sandbox_is_found_before_codex_is_paid(project: Project) -> None:
    names = ["--bundle", str(project.bundle), "--repository", str(project.repository)]
    launch = [sys.executable, "-I", str(resource("scripts")), "ask", "prepare", *names]
    command = ["unshare", "-Ur", "sh", "-c", NO_NAMESPACES, *launch, "--out", str(project.out)]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Codex is not asked: sandbox-dead." in done.stderr
    detail = json.loads(project.workspace.context.read_text())["detail"]
    assert detail.startswith("user/max_user_namespaces is 0; unshare: ")


def test_a_checkout_at_another_commit_is_said(tmp_path: Path, project: Project) -> None:
    bundle = make_bundle(tmp_path / "other", "3" * 40)
    assert "::notice" not in prepare(project).said
    project_of_other = ask(
        tmp_path / "step",
        "prepare",
        *("--bundle", str(bundle), "--repository", str(project.repository)),
        *("--out", str(project.out)),
    )
    assert "measured at 333333333333" in project_of_other.said


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--codex-version", "latest", "codex-version"),
        ("--codex-version", "", "codex-version"),
        ("--allow-users", "*", "allow-users"),
        ("--allow-bot-users", "renovate,*", "allow-bot-users"),
        ("--model", 'x" sandbox="', "model"),
        ("--effort", "very high", "effort"),
        ("--responses-api-endpoint", "http://x/v1", "responses-api-endpoint"),
        ("--when", "never", "when"),
        ("--repository", "/", "git checkout"),
        ("--bundle", "/nonexistent", "no bundle"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    project: Project, option: str, value: str, said: str
) -> None:
    ran = prepare(project, option, value)
    assert ran.code == 2
    assert said in ran.said
    assert not project.out.exists()


def test_a_question_inside_the_repository_is_refused(project: Project) -> None:
    inside = project.repository / "build/ask"
    ran = prepare(project, "--out", str(inside))
    assert ran.code == 2
    assert "lies inside the repository" in ran.said
    assert not inside.exists()


def test_a_tampered_bundle_is_refused(project: Project) -> None:
    write_json(project.bundle / "facts.json", {"version": 1, "facts": []})
    ran = prepare(project)
    assert ran.code == 2
    assert "broken bundle" in ran.said


@pytest.mark.parametrize(
    "fact",
    [
        {"id": "Upper", "text": "x"},
        {"id": "a b", "text": "x"},
        {"id": "a"},
        {"id": "a", "text": "x", "value": [1]},
        {"id": "a", "text": "x", "url": "https://example.org"},
    ],
)
def test_facts_of_another_form_are_refused(project: Project, fact: dict[str, object]) -> None:
    bundle = make_bundle(project.out.parent / "odd", project.head, word="evaluate", facts=[fact])
    ran = prepare(project, "--bundle", str(bundle))
    assert ran.code == 2
    assert "not a valid facts file" in ran.said


def test_one_id_with_two_meanings_is_refused(project: Project, tmp_path: Path) -> None:
    fact = {**FACTS[0], "id": "evaluate.digits_cnn.head.metric.test_accuracy"}
    parts = [
        make_bundle(
            tmp_path / name, project.head, word="evaluate", facts=[{**fact, "value": value}]
        )
        for name, value in (("one", 0.5), ("same", 0.5), ("other", 0.25))
    ]
    options = [f"--bundle={part}" for part in parts]
    assert prepare(project, *options[:2]).code == 0
    ran = prepare(project, *options)
    assert ran.code == 2
    assert "two bundles hold different facts with the id" in ran.said


def test_a_second_verdict_is_refused(project: Project, tmp_path: Path) -> None:
    second = make_bundle(tmp_path / "second", project.head)
    ran = prepare(project, "--bundle", str(second))
    assert ran.code == 2
    assert "this is a second result of `compare`. Give one." in ran.said


def test_who_measures_cannot_pose_as_who_decides(project: Project, tmp_path: Path) -> None:
    fact = {**FACTS[0], "id": "compare.digits_cnn.test_accuracy.reviewed"}
    posing = make_bundle(tmp_path / "posing", project.head, word="evaluate", facts=[fact])
    ran = prepare(project, "--bundle", str(posing))
    assert ran.code == 2
    assert "of `evaluate` does not begin with `evaluate.`" in ran.said
    other = make_bundle(tmp_path / "other", project.head)
    seal(other, "evaluate")
    ran = prepare(project, "--bundle", str(other))
    assert ran.code == 2
    assert "the manifest is by `evaluate`, the result by `compare`." in ran.said


def test_a_folder_of_bundles_is_each_of_them(tmp_path: Path) -> None:
    for name in ("b", "a"):
        fact = {"id": f"evaluate.{name}", "text": "x", "model": name}
        make_bundle(tmp_path / "all" / name, "", word="evaluate", facts=[fact])
    evidence = collect([tmp_path / "all"])
    assert [fact["id"] for fact in evidence.facts] == ["evaluate.a", "evaluate.b"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no bundle"):
        collect([tmp_path / "empty"])


def test_facts_are_capped(tmp_path: Path) -> None:
    facts = [{"id": f"compare.{number}", "text": "x"} for number in range(MAX_FACTS + 3)]
    evidence = collect([make_bundle(tmp_path, "4" * 40, facts=facts)])
    assert (len(evidence.facts), evidence.left_out) == (MAX_FACTS, 3)


def many_crashes(folder: Path, count: int) -> Path:
    """Make a bundle in which one seed after the other crashed, and a config was skipped."""
    make_crash(folder, "4" * 40)
    document = json.loads((folder / "evaluation.json").read_text())
    crashed = document["evaluations"][1]
    document["evaluations"] = [{**crashed, "seed": seed} for seed in range(count)]
    skipped = {"model": "digits_mlp", "config": "configs/digits_mlp.yaml", "reason": "unchanged"}
    document["skipped"] = [skipped]
    write_json(folder / "evaluation.json", document)
    seal(folder, "evaluate")
    return folder


def test_logs_are_capped_and_skipped_models_known(tmp_path: Path) -> None:
    evidence = collect([many_crashes(tmp_path / "many", MAX_LOGS + 5)])
    assert [log.seed for log in evidence.logs] == list(range(MAX_LOGS))
    assert evidence.models == {"digits_vit", "digits_mlp"}


def test_a_word_without_a_question_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no question"):
        compose(["comment"], repository=tmp_path, supplied=Supplied(diff=False, conventions=False))


def test_no_bundle_is_refused() -> None:
    with pytest.raises(UserError, match="--bundle"):
        collect([])
