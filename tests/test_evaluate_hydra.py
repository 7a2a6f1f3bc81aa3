"""Which files a config is composed of, read without running Hydra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.evaluate_support import Repository, chosen, plan_for

HYDRA: list[tuple[str, dict[str, str], str]] = [
    ("a group", {"configs/m.yaml": "defaults:\n  - db: x\n"}, "configs/db/x.yaml"),
    ("a group's list", {"configs/m.yaml": "defaults:\n  - db: [y, x]\n"}, "configs/db/x.yaml"),
    ("an absolute group", {"configs/m.yaml": "defaults:\n  - /db: x\n"}, "configs/db/x.yaml"),
    ("optional", {"configs/m.yaml": "defaults:\n  - optional db: x\n"}, "configs/db/x.yaml"),
    (
        "override with a package",
        {"configs/m.yaml": "defaults:\n  - override /db@a.b: x\n"},
        "configs/db/x.yaml",
    ),
    (
        "override optional",
        {"configs/m.yaml": "defaults:\n  - override optional db: x\n"},
        "configs/db/x.yaml",
    ),
    ("a plain name", {"configs/m.yaml": "defaults:\n  - other\n"}, "configs/other.yaml"),
    ("name and package", {"configs/m.yaml": "defaults:\n  - db/x@_global_\n"}, "configs/db/x.yaml"),
    (
        "nested groups",
        {
            "configs/m.yaml": "defaults:\n  - db: x\n",
            "configs/db/x.yaml": "defaults:\n  - engine: fast\n",
        },
        "configs/db/engine/fast.yaml",
    ),
    (
        "absolute within a group",
        {
            "configs/m.yaml": "defaults:\n  - db: x\n",
            "configs/db/x.yaml": "defaults:\n  - /server: s\n",
        },
        "configs/server/s.yaml",
    ),
    ("interpolated", {"configs/m.yaml": "defaults:\n  - db: ${oc.env:DB}\n"}, "configs/db/x.yaml"),
    ("mandatory", {"configs/m.yaml": "defaults:\n  - db: ???\n"}, "configs/db/x.yaml"),
    ("extension", {"configs/m.yaml": "defaults:\n  - db: x.yaml\n"}, "configs/db/x.yaml"),
    (
        "search path",
        {"configs/m.yaml": "hydra:\n  searchpath: [file://conf2]\ndefaults:\n  - db: x\n"},
        "conf2/db/x.yaml",
    ),
    ("a named file", {"configs/m.yaml": "_base_: ../shared/b.yaml\n"}, "shared/b.yaml"),
]


@pytest.mark.parametrize(
    ("files", "changed"), [case[1:] for case in HYDRA], ids=[c[0] for c in HYDRA]
)
def test_configs_are_composed_as_hydra_does(
    tmp_path: Path, files: Mapping[str, str], changed: str
) -> None:
    everything = {"e.py": "", "configs/db/unused.yaml": "", "notes.yaml": "", changed: "", **files}
    repository = Repository.make(tmp_path / "repo", everything)
    given: dict[str, Any] = {
        "command": "python e.py {config} {output}",
        "configs": ("configs/m.yaml",),
    }

    repository.write({"notes.yaml": "a: 1\n"})
    assert not plan_for(repository, **given).selected
    repository.write({changed: "a: 1\n"})
    assert set(chosen(plan_for(repository, **given))) == {"m"}
    repository.commit()
    repository.git("branch", "-f", "base")
    (repository.root / changed).unlink()
    assert set(chosen(plan_for(repository, **given))) == {"m"}


@pytest.mark.parametrize("choice", ["a", "b", "null", "_self_"])
def test_a_choice_that_is_not_made_is_not_followed(tmp_path: Path, choice: str) -> None:
    defaults = "- _self_" if choice == "_self_" else f"- db: {choice}"
    files = {"e.py": "", "configs/m.yaml": f"defaults:\n  {defaults}\n"}
    options = {"configs/db/a.yaml": "", "configs/db/b.yaml": "", "configs/db/c.yaml": ""}
    repository = Repository.make(tmp_path / "repo", files | options)
    repository.write({"configs/db/c.yaml": "x: 1\n"})

    plan = plan_for(
        repository, command="python e.py {config} {output}", configs=("configs/m.yaml",)
    )

    assert not plan.selected


def test_experiments_find_groups_in_a_folder_above(tmp_path: Path) -> None:
    repository = Repository.make(
        tmp_path / "repo",
        {
            "e.py": "import hydra\n@hydra.main(config_path='conf', config_name='config')\n"
            "def main(c): ...\n",
            "conf/config.yaml": "defaults:\n  - data: small\n",
            "conf/data/small.yaml": "",
            "conf/data/big.yaml": "",
            "conf/model/vit.yaml": "",
            "conf/experiment/one.yaml": "defaults:\n  - override /model: vit\n",
            "conf/experiment/two.yaml": "# @package _global_\n",
        },
    )
    given: dict[str, Any] = {
        "command": "python e.py +experiment={name} hydra.run.dir={output}",
        "configs": ("conf/experiment/*.yaml",),
    }

    repository.write({"conf/model/vit.yaml": "a: 1\n"})
    assert set(chosen(plan_for(repository, **given))) == {"one"}
    repository.write({"conf/model/vit.yaml": "", "conf/data/big.yaml": "a: 1\n"})
    assert not plan_for(repository, **given).selected
    assert set(
        chosen(plan_for(repository, **given | {"command": f"{given['command']} data=big"}))
    ) == {"one", "two"}
    repository.write({"conf/data/big.yaml": "", "conf/data/small.yaml": "a: 1\n"})
    assert set(chosen(plan_for(repository, **given))) == {"one", "two"}
    repository.write({"conf/data/small.yaml": "", "conf/config.yaml": "a: 1\n"})
    assert set(chosen(plan_for(repository, **given))) == {"one", "two"}
