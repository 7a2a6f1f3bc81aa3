"""On a pull request the base's rules count; the head's are shown and obeyed by nobody."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.compare.rules import AbsentAtBaseError, diff, git_in, read_rules
from mlactions.errors import Exit, UserError
from mlactions.runner import Runner

STRICT = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}}
"""
LOOSE = STRICT.replace("0.01", "0.5")


def git(folder: Path, *arguments: str) -> str:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{
            f"GIT_{role}_{key}": "x"
            for role in ("AUTHOR", "COMMITTER")
            for key in ("NAME", "EMAIL")
        },
    }
    command = ["git", "-c", "init.defaultBranch=main", *arguments]
    done = subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository whose base has strict rules."""
    folder = tmp_path / "repository"
    (folder / "sub").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "sub" / "baseline.yaml").write_text(STRICT)
    (folder / "sub" / "metrics.json").write_text(
        '{"models": {"cnn": {"metrics": {"accuracy": 0.9}}}}'
    )
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "base")
    return folder


def read(repository: Path, base_ref: str = "main", *, bootstrap: bool = False) -> Any:
    return read_rules(
        repository / "sub" / "baseline.yaml",
        folder=repository,
        name="sub/b.yaml",
        base_ref=base_ref,
        bootstrap=bootstrap,
        git=git_in(repository),
    )


def compare(repository: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run compare in the repository; return its exit code and its result."""
    out = repository.parent / "out"
    words = ["compare", "--working-directory", str(repository / "sub"), "--baseline"]
    words += ["baseline.yaml", "--metrics", str(repository / "sub" / "metrics.json")]
    code = run([*words, "--out", str(out), *arguments], Runner({}, io.StringIO()))
    file = out / "result.json"
    return code, json.loads(file.read_text()) if file.exists() else {}


def test_loosened_rules_do_not_count(repository: Path) -> None:
    (repository / "sub" / "baseline.yaml").write_text(LOOSE)

    code, result = compare(repository, "--base-ref", "main")

    assert (code, result["status"]) == (Exit.FAILED_CHECK, "fail")
    assert result["baseline"]["from"] == "base"
    assert result["baseline"]["ref"] == git(repository, "rev-parse", "main")
    assert result["head_rules"]["status"] == "pass"
    assert (
        "-      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}}"
        in (result["head_rules"]["diff"])
    )


def test_without_a_base_the_file_counts(repository: Path) -> None:
    (repository / "sub" / "baseline.yaml").write_text(LOOSE)

    code, result = compare(repository)

    assert (code, result["baseline"]["from"], result["head_rules"]) == (Exit.PASS, "file", None)


def test_equal_rules_are_not_shown_twice(repository: Path) -> None:
    assert read(repository).head is None


@pytest.mark.parametrize("text", [None, "version: 2\nmodels: {}\n", "a: [\n"])
def test_head_rules_that_cannot_be_used_change_nothing(repository: Path, text: str | None) -> None:
    path = repository / "sub" / "baseline.yaml"
    if text is None:
        path.unlink()
    else:
        path.write_text(text)

    code, result = compare(repository, "--base-ref", "main")

    assert code == Exit.FAILED_CHECK
    assert result["head_rules"]["status"] is None
    assert result["head_rules"]["verdict"]


def test_a_base_without_rules_fails_or_takes_the_heads_when_told(repository: Path) -> None:
    git(repository, "rm", "-q", "--cached", "sub/baseline.yaml")
    git(repository, "commit", "-qm", "no rules")

    code, result = compare(repository, "--base-ref", "main")
    assert code == Exit.FAILED_CHECK
    assert [item["reason"] for item in result["findings"]] == ["baseline-absent-at-base"]

    code, result = compare(repository, "--base-ref", "main", "--bootstrap", "head")
    assert (code, result["baseline"]["from"]) == (Exit.FAILED_CHECK, "head")
    assert [item["reason"] for item in result["findings"]] == ["regression"]


def test_rules_absent_at_base_and_head(repository: Path) -> None:
    git(repository, "rm", "-q", "sub/baseline.yaml")
    git(repository, "commit", "-qm", "no rules")
    (repository / "sub").mkdir(exist_ok=True)

    with pytest.raises(AbsentAtBaseError):
        read(repository)
    with pytest.raises(UserError, match="file not found"):
        read(repository, bootstrap=True)


@pytest.mark.parametrize("ref", ["nowhere", "--output=x", "main:sub", "0" * 40])
def test_a_base_this_clone_lacks_is_bad_input(repository: Path, ref: str) -> None:
    with pytest.raises(UserError, match="base commit not found") as caught:
        read(repository, ref)

    assert "fetch-depth: 0" in caught.value.hint
    assert not (repository / "x").exists()


def test_a_mistyped_base_is_asked_for(repository: Path) -> None:
    with pytest.raises(UserError, match="no such commit") as caught:
        read(repository, "mian")

    assert caught.value.hint == "Did you mean `main`?"


@pytest.mark.parametrize("ref", [(), ("--base-ref", "main")])
def test_a_baseline_at_the_root_is_found_from_below(
    repository: Path, monkeypatch: pytest.MonkeyPatch, ref: tuple[str, ...]
) -> None:
    git(repository, "mv", "sub/baseline.yaml", "baseline.yaml")
    git(repository, "commit", "-qm", "moved")
    monkeypatch.chdir(repository / "sub")
    stream = io.StringIO()

    given = ["--baseline", "baseline.yaml", "--metrics", "metrics.json", "--out", "../../out"]
    code = run(["compare", *given, *ref], Runner({}, stream))

    assert code == (Exit.FAILED_CHECK if ref else Exit.BAD_INPUT)
    said = " ".join(stream.getvalue().split())
    assert "at the repository's root: give `--working-directory ..`, or run this there." in said


def test_broken_rules_at_the_base_are_bad_input(repository: Path) -> None:
    (repository / "sub" / "baseline.yaml").write_bytes(b"version: 1 # \xff")
    git(repository, "commit", "-qam", "broken")

    with pytest.raises(UserError, match="not UTF-8"):
        read(repository)


def commit(repository: Path) -> None:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "change")


def test_a_link_is_followed_in_the_commit_of_the_base(repository: Path) -> None:
    path = repository / "sub" / "baseline.yaml"
    (repository / "rules").mkdir()
    path.rename(repository / "rules" / "cnn.yaml")
    (repository / "linked").symlink_to("rules")
    path.symlink_to("../linked/cnn.yaml")
    commit(repository)
    (repository / "rules" / "cnn.yaml").write_text(LOOSE)

    code, result = compare(repository, "--base-ref", "main")

    assert (code, result["baseline"]["from"]) == (Exit.FAILED_CHECK, "base")
    assert result["head_rules"]["status"] == "pass"


@pytest.mark.parametrize(
    ("target", "message"),
    [("/etc/hostname", "leads to '/etc/hostname'"), ("baseline.yaml", "leads in a circle")],
)
def test_a_link_of_the_base_leads_nowhere_else(repository: Path, target: str, message: str) -> None:
    path = repository / "sub" / "baseline.yaml"
    path.unlink()
    path.symlink_to(target)
    commit(repository)

    with pytest.raises(UserError, match=message):
        read(repository)


def test_a_link_of_the_base_to_nothing_is_no_baseline(repository: Path) -> None:
    path = repository / "sub" / "baseline.yaml"
    path.unlink()
    path.symlink_to("gone.yaml")
    commit(repository)

    with pytest.raises(AbsentAtBaseError):
        read(repository)


def test_what_a_head_links_to_outside_is_not_shown(repository: Path) -> None:
    secret = repository.parent / "secret.yaml"
    secret.write_text("token: hunter2\n")
    path = repository / "sub" / "baseline.yaml"
    path.unlink()
    path.symlink_to(secret)

    code, result = compare(repository, "--base-ref", "main")

    assert code == Exit.FAILED_CHECK
    assert "leads out of the repository" in result["head_rules"]["verdict"]
    assert "hunter2" not in json.dumps(result)


def test_other_line_ends_are_no_edit(repository: Path) -> None:
    (repository / "sub" / "baseline.yaml").write_bytes(STRICT.replace("\n", "\r\n").encode())

    assert compare(repository, "--base-ref", "main")[1]["head_rules"] is None


def test_outside_a_repository_the_advice_is_another(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no git repository") as caught:
        read_rules(
            tmp_path / "b.yaml",
            folder=tmp_path,
            name="b.yaml",
            base_ref="main",
            bootstrap=False,
            git=git_in(tmp_path),
        )

    assert "fetch-depth" not in str(caught.value)


TWO = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}}
  vit:
    metrics:
      accuracy: {value: 0.98, direction: higher, tolerance: {absolute: 0.01}, min: 0.97}
waivers:
  - {metric: accuracy, model: vit, reason: known, until: 2020-01-01}
  - {metric: gone, reason: known, until: 2020-01-01}
"""


def places(repository: Path, head: str) -> list[tuple[str, str, int | None]]:
    """Return the findings of rules at the base with the lines of the head's file."""
    path = repository / "sub" / "baseline.yaml"
    path.write_text(TWO)
    models = {model: {"metrics": {"accuracy": 0.9}} for model in ("cnn", "vit")}
    (repository / "sub" / "metrics.json").write_text(json.dumps({"models": models}))
    commit(repository)
    path.write_text(head)

    findings = compare(repository, "--base-ref", "main", "--today", "2026-11-22")[1]["findings"]

    return [(item["reason"], item["model"], item["line"]) for item in findings]


def test_lines_are_those_of_the_head(repository: Path) -> None:
    head = TWO.replace("models:\n", "models:\n  # two\n  # lines\n")
    head = head.replace(
        "  - {metric: accuracy",
        "  - {metric: other, reason: x, until: 2020-01-01}\n  - {metric: accuracy",
    )

    assert places(repository, head) == [
        ("regression", "cnn", 7),
        ("regression", "vit", 10),
        ("below-min", "vit", 10),
        ("waiver-expired", "vit", 13),
        ("orphan-waiver", "", 14),
    ]


def test_what_the_head_has_no_more_is_on_no_line(repository: Path) -> None:
    head = TWO.partition("  vit:")[0].replace("accuracy", "loss")

    assert {line for _, _, line in places(repository, head)} == {None}


def test_a_broken_head_has_no_lines(repository: Path) -> None:
    assert {line for _, _, line in places(repository, TWO + "a: [\n")} == {None}


def test_a_diff_is_cut() -> None:
    before, after = ("\n".join(f"{side}{n}" for n in range(1000)) for side in "ab")

    shown = diff(before, after, ("a", "b"))

    assert len(shown.splitlines()) == 401
    assert "more lines" in shown
