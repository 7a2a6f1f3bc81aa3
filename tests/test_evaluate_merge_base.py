"""What a change is measured from; without that, everything is evaluated."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlactions.errors import UserError
from tests.evaluate_support import PROJECT, Repository, chosen, plan_for


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "repo", PROJECT)


@pytest.mark.parametrize(
    ("ref", "note"),
    [("nowhere", "The base `nowhere` is not in this clone."), ("", "`base-ref` is not given.")],
)
def test_without_a_base_everything_is_evaluated(
    repository: Repository, ref: str, note: str
) -> None:
    plan = plan_for(repository, {"GITHUB_ACTIONS": "true"}, base_ref=ref)

    assert set(chosen(plan)) == {"cnn", "vit"}
    assert plan.notes == (f"{note} Every config is evaluated.",)
    assert all(text == f"in doubt: {note}" for text in chosen(plan).values())


@pytest.mark.parametrize(
    ("ref", "hint"),
    [("bsae", "Did you mean `base`?"), ("nowhere", "`git branch --all` lists what is here.")],
)
def test_a_mistyped_base_is_refused_on_a_laptop(
    repository: Repository, ref: str, hint: str
) -> None:
    repository.git("branch", "-f", "base")

    with pytest.raises(UserError, match="no such commit") as caught:
        plan_for(repository, base_ref=ref)

    assert caught.value.hint == hint


def test_unrelated_histories_have_no_merge_base(repository: Repository) -> None:
    repository.git("checkout", "-q", "--orphan", "other")
    repository.commit({"README.md": "another beginning\n"})

    plan = plan_for(repository)

    assert set(chosen(plan)) == {"cnn", "vit"}
    assert "no common ancestor" in plan.notes[0]


def test_a_shallow_clone_is_said(repository: Repository, tmp_path: Path) -> None:
    repository.commit({"README.md": "new\n"})
    clone = Repository(tmp_path / "clone")
    clone.root.mkdir()
    clone.git("clone", "-q", "--depth=1", f"file://{repository.root}", ".")

    plan = plan_for(clone, base_ref=repository.git("rev-parse", "base"))

    assert set(chosen(plan)) == {"cnn", "vit"}
    assert "`fetch-depth: 0`" in plan.notes[0]


def test_outside_of_git_everything_is_evaluated(tmp_path: Path) -> None:
    Repository(tmp_path).write(PROJECT)

    plan = plan_for(Repository(tmp_path))

    assert set(chosen(plan)) == {"cnn", "vit"}
    assert "no git repository" in plan.notes[0]


def test_the_event_names_the_base_where_the_caller_does_not(
    repository: Repository, tmp_path: Path
) -> None:
    clone = Repository(tmp_path / "clone")
    clone.root.mkdir()
    clone.git("clone", "-q", str(repository.root), ".")
    clone.commit({"configs/cnn.yaml": "a: 1\n"})
    event = tmp_path / "event.json"
    event.write_text(f'{{"before": "{repository.git("rev-parse", "base")}"}}')

    pull_request = plan_for(clone, {"GITHUB_BASE_REF": "base"}, base_ref="")
    push = plan_for(clone, {"GITHUB_EVENT_PATH": str(event)}, base_ref="")

    assert set(chosen(pull_request)) == set(chosen(push)) == {"cnn"}


@pytest.mark.parametrize("event", ["", "[]", "{}", '{"before": null}', '{"before": "0000"}', "{"])
def test_an_event_without_a_base_is_no_base(
    repository: Repository, tmp_path: Path, event: str
) -> None:
    path = tmp_path / "event.json"
    path.write_text(event)

    plan = plan_for(repository, {"GITHUB_EVENT_PATH": str(path)}, base_ref="")

    assert plan.base is None
    assert set(chosen(plan)) == {"cnn", "vit"}


def test_git_is_not_fooled_by_the_callers_configuration(repository: Repository) -> None:
    hooks = repository.root / ".git/hooks"
    hook = hooks / "post-checkout"
    hook.write_text("#!/bin/sh\ntouch hooked\n")
    hook.chmod(0o755)
    repository.git("config", "diff.external", "false")
    repository.git("config", "core.fsmonitor", f"{os.devnull}")
    repository.commit({"configs/vit.yaml": "a: 1\n"})

    assert set(chosen(plan_for(repository))) == {"vit"}


def test_a_change_on_the_base_branch_alone_selects_nothing(repository: Repository) -> None:
    repository.git("checkout", "-q", "base")
    repository.commit({"src/registry.py": "# the base moved on\n"})
    repository.git("checkout", "-q", "main")
    repository.commit({"README.md": "new\n"})

    assert not plan_for(repository).selected


def test_uncommitted_and_untracked_files_count_as_changed(repository: Repository) -> None:
    repository.write({"src/models/vit.py": "import src.models.fresh\n"})
    repository.write({"src/models/fresh.py": ""})

    assert set(chosen(plan_for(repository))) == {"vit"}

    repository.commit()
    repository.git("branch", "-f", "base")
    repository.write({"src/models/fresh.py": "x = 1\n"})
    assert set(chosen(plan_for(repository))) == {"vit"}


def test_an_untracked_environment_is_not_the_change(repository: Repository) -> None:
    package = "env/lib/python3.12/site-packages/torch"
    repository.write(
        {
            "env/pyvenv.cfg": "",
            f"{package}/__init__.py": "import importlib\nimportlib.import_module(name)\n",
            f"{package}/native.c": "",
            f"{package}/src/unused.py": "",
        }
    )
    repository.commit({"src/unused.py": "x = 1\n"})
    repository.git("rm", "-rq", "--cached", "env")
    repository.git("commit", "-qm", "untrack")

    assert not plan_for(repository).selected
