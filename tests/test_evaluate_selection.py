"""Which configs a change selects: real git repositories, nothing of them is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlactions.evaluate.records import Config, Removed
from tests.evaluate_support import PROJECT, Repository, chosen, passed_over, plan_for


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "repo", PROJECT)


@pytest.mark.parametrize(
    ("path", "models", "reason"),
    [
        ("configs/cnn.yaml", {"cnn"}, "its config changed"),
        ("configs/model/vit.yaml", {"vit"}, "`configs/model/vit.yaml` changed, which it composes"),
        ("configs/training/base.yaml", {"vit"}, "which it composes"),
        ("scripts/evaluate.py", {"cnn", "vit"}, "`scripts/evaluate.py` changed"),
        ("src/data/text.py", {"cnn", "vit"}, "through `src/data/loaders.py`"),
        ("src/common/io.py", {"cnn", "vit"}, "→ `src/data/images.py`"),
        ("src/data/__init__.py", {"cnn", "vit"}, "imported by `scripts/evaluate.py`"),
        ("src/models/vit.py", {"vit"}, "the config names as `src.models.vit.ViT`"),
        ("src/models/layers.py", {"cnn"}, "imported by `src/models/cnn.py`"),
        ("src/models/__init__.py", {"cnn", "vit"}, "`src/models/__init__.py` changed"),
        ("src/unused.py", set(), ""),
        ("README.md", set(), ""),
        ("uv.lock", {"cnn", "vit"}, "it decides what is installed"),
    ],
)
def test_a_change_selects_what_it_reaches(
    repository: Repository, path: str, models: set[str], reason: str
) -> None:
    repository.commit({path: PROJECT[path] + "\n# changed\n"})

    plan = plan_for(repository)

    assert set(chosen(plan)) == models
    assert all(reason in text for text in chosen(plan).values())
    assert set(passed_over(plan)) == {"cnn", "vit"} - models
    assert all(text.startswith("unchanged: ") for text in passed_over(plan).values())


def test_nothing_changed_nothing_is_evaluated(repository: Repository) -> None:
    plan = plan_for(repository)

    assert not plan.selected
    assert plan.base == repository.git("rev-parse", "base")
    assert set(passed_over(plan).values()) == {"unchanged: nothing differs from the base"}


@pytest.mark.parametrize(
    ("files", "changed", "reason"),
    [
        ({"scripts/evaluate.py": "read('data/train.csv')\n"}, "data/train.csv", "may name it"),
        ({"scripts/evaluate.py": "DATA = 'data'\n"}, "data/raw/1.csv", "`data` may name it"),
        (
            {"configs/cnn.yaml": "path: ${hydra:runtime.cwd}/data/raw\n"},
            "data/raw/1.csv",
            "names its folder: `/data/raw`",
        ),
        ({}, "src/models/vocabulary.json", "stands in a package that is imported"),
        ({}, "csrc/kernel.cu", "compiled code is not analysed"),
        ({}, "data/images.dvc", "it names tracked data"),
        ({"configs/cnn.yaml": "a: 1\na: 2\n"}, "anything.txt", "cannot be read: duplicate key"),
        ({"configs/cnn.yaml": "a: !!python/object:x.Y {}\n"}, "anything.txt", "cannot be read"),
        (
            {"configs/cnn.yaml": "defaults:\n  - db: gone\n"},
            "configs/db/x.yaml",
            "no file here holds",
        ),
    ],
)
def test_what_may_be_read_is_in_doubt(
    repository: Repository, files: Mapping[str, str], changed: str, reason: str
) -> None:
    repository.commit(files)
    repository.git("branch", "-f", "base")
    repository.commit({changed: "changed\n"})

    assert reason in chosen(plan_for(repository))["cnn"]


@pytest.mark.parametrize(
    "path",
    [
        "docs/guide.md",
        "notebooks/look.ipynb",
        "tests/test_x.py",
        ".gitignore",
        "src/models/NOTES.md",
    ],
)
def test_what_nothing_names_is_not(repository: Repository, path: str) -> None:
    repository.commit({path: "data\n"})

    assert not plan_for(repository).selected


def test_depends_affects_every_config(repository: Repository) -> None:
    repository.commit({"data/manifest.json": "{}"})

    assert not plan_for(repository).selected
    for glob in (
        "data/manifest.json",
        "data/**",
        "manifest.json",
        "*.json",
        "/data",
        "d*/m?nifest.[j]son",
    ):
        plan = plan_for(repository, depends=(glob,))
        assert set(chosen(plan)) == {"cnn", "vit"}, glob
        assert "`depends` names it" in chosen(plan)["cnn"]
    for glob in ("/manifest.json", "*.yaml", "ata/**", "data/*/manifest.json", "/manifest*"):
        assert not plan_for(repository, depends=(glob,)).selected, glob


@pytest.mark.parametrize("select", ["changed", "all"])
def test_renamed_and_deleted_configs_are_said(repository: Repository, select: str) -> None:
    repository.git("mv", "configs/cnn.yaml", "configs/convnet.yaml")
    repository.git("rm", "-q", "configs/vit.yaml")
    repository.commit({"configs/new.yaml": "a: 1\n"})

    plan = plan_for(repository, select=select)

    assert set(chosen(plan)) == {"convnet", "new"}
    assert plan.removed == (
        Removed(Config("configs/cnn.yaml", "cnn", "cnn"), "renamed", "convnet"),
        Removed(Config("configs/vit.yaml", "vit", "vit"), "deleted", None),
    )
    assert plan.notes == (
        "`configs/cnn.yaml` was renamed: its model is evaluated as `convnet`.",
        "`configs/vit.yaml` was deleted: its model is not evaluated any more.",
    )


def test_a_config_that_moves_out_of_sight_is_removed(repository: Repository) -> None:
    files = dict.fromkeys(("configs/two.yaml", "configs/three.yaml"), "a: 1\n")
    repository.commit({**files, "configs/baseline.yaml": "version: 1\n"})
    repository.git("branch", "-f", "base")
    repository.git("mv", "configs/cnn.yaml", "configs/cnn.txt")
    repository.git("mv", "configs/model/vit.yaml", "configs/model/old.yaml")
    repository.git("rm", "-q", "configs/baseline.yaml")
    repository.commit({"configs/two.yaml": "version: 1\nmodels: {}\n"})

    plan = plan_for(repository, configs=("configs/*.yaml", "!configs/vit*"))

    assert plan.removed == (
        Removed(Config("configs/cnn.yaml", "cnn", "cnn"), "renamed", None),
        Removed(Config("configs/two.yaml", "two", "two"), "changed", None),
    )


def test_a_removed_model_has_the_name_that_it_had(tmp_path: Path) -> None:
    files = {f"p/conf/{name}.yaml": f"a: {name}\n" for name in ("a/x", "b/x", "a/y", "c/z")}
    repository = Repository.make(tmp_path / "repo", {**files, "p/e.py": "", "conf/a/q.yaml": ""})
    repository.git("rm", "-q", "p/conf/a/x.yaml", "p/conf/c/z.yaml", "conf/a/q.yaml")
    repository.commit({"p/conf/d/z.yaml": "b: 17\nc: 18\n"})
    given: dict[str, Any] = {"working_directory": "p", "configs": ("conf/**/*.yaml",)}

    plan = plan_for(repository, command="python e.py {config} {output}", **given)

    assert [(gone.config.model, gone.renamed_to) for gone in plan.removed] == [
        ("conf.a.x", None),
        ("z", None),
    ]
    assert "`p/conf/c/z.yaml` was deleted: its model is not evaluated any more." in plan.notes


def test_without_a_base_nothing_is_known_to_be_removed(repository: Repository) -> None:
    repository.git("rm", "-q", "configs/vit.yaml")
    repository.commit()

    assert plan_for(repository, select="all", base_ref="").removed == ()


def test_a_new_config_is_evaluated(repository: Repository) -> None:
    repository.commit({"configs/new.yaml": "defaults:\n  - model: vit\n"})

    assert chosen(plan_for(repository)) == {"new": "its config is new"}


def test_a_project_in_a_folder_of_a_larger_repository(tmp_path: Path) -> None:
    files = {f"projects/a/{path}": text for path, text in PROJECT.items()}
    files |= {f"projects/b/{path}": text for path, text in PROJECT.items()}
    repository = Repository.make(tmp_path / "repo", {**files, "lib/README.md": ""})
    given: dict[str, Any] = {"working_directory": "projects/a"}

    repository.write({"projects/b/src/registry.py": "", "projects/b/uv.lock": "x"})
    assert not plan_for(repository, **given).selected
    repository.write({"projects/a/src/models/vit.py": "x = 1\n"})
    assert set(chosen(plan_for(repository, **given))) == {"vit"}
    repository.write({"pyproject.toml": ""})
    repository.git("add", "pyproject.toml")
    assert set(chosen(plan_for(repository, **given))) == {"cnn", "vit"}


def test_the_workflow_that_runs_us_counts(repository: Repository) -> None:
    repository.commit({".github/workflows/gate.yml": "on: push\n"})
    own = {"GITHUB_WORKFLOW_REF": "me/repo/.github/workflows/gate.yml@refs/heads/main"}
    other = {"GITHUB_WORKFLOW_REF": "me/repo/.github/workflows/lint.yml@refs/heads/main"}

    assert set(chosen(plan_for(repository, own))) == {"cnn", "vit"}
    assert not plan_for(repository, other).selected


@pytest.mark.parametrize(
    ("committed", "untracked", "said"),
    [
        (("README.md",), (), "`README.md` is not among the"),
        ((), ("notes.txt",), "no tracked file differs from the base"),
        ((), ("tools/new.py",), "`tools/new.py` is not among the"),
        (("README.md",), ("build/model.bin",), "`README.md` is not among the"),
        (("README.md", "doc.md"), ("build/log.txt",), "none of the 2 changed files is among the"),
        (("README.md",), ("a.py", "b.py"), "none of the 1 changed and 2 untracked files is among"),
    ],
)
def test_what_was_looked_at_is_counted(
    repository: Repository, committed: tuple[str, ...], untracked: tuple[str, ...], said: str
) -> None:
    repository.commit(dict.fromkeys(committed, "new\n"))
    repository.write(dict.fromkeys(untracked, "x = 1\n"))

    assert set(passed_over(plan_for(repository))) == {"cnn", "vit"}
    assert all(f"unchanged: {said}" in why for why in passed_over(plan_for(repository)).values())
