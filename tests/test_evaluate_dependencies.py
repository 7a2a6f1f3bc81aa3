"""What a config depends on beside Hydra's lists and imports: in doubt, nothing is skipped."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlactions.bundle import open_bundle
from mlactions.errors import UserError
from tests.evaluate_support import (
    PROJECT,
    Repository,
    chosen,
    evaluate,
    make_project,
    plan_for,
)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "repo", PROJECT)


@pytest.mark.parametrize(
    ("files", "changed", "said"),
    [
        (
            {"py/a.py": "_base_ = ['./base.py']\nlr = 1\n", "py/base.py": "x = 1\n"},
            "py/base.py",
            "`py/base.py` changed, which it composes",
        ),
        (
            {"py/a.py": "with read_base():\n    from .base import *\n", "py/base.py": "x = 1\n"},
            "py/base.py",
            "`py/base.py` changed, imported by `py/a.py`",
        ),
        (
            {"py/a.py": "from common.base import x\n", "common/base.py": "x = 1\n"},
            "common/base.py",
            "`common/base.py` changed, imported by `py/a.py`",
        ),
        (
            {"py/a.py": "base = 'base'\n", "py/base.py": "_base_ = '../b.toml'\n", "b.toml": ""},
            "b.toml",
            "`b.toml` changed, which it composes",
        ),
        (
            {"configs/a.yaml": "inherit: base_cfg\n", "configs/base_cfg.yaml": "x: 1\n"},
            "configs/base_cfg.yaml",
            "which it composes",
        ),
        (
            {"configs/a.yaml": "extends: [v1.2]\n", "configs/v1.2.yml": "include: deep/c\n"},
            "configs/v1.2.yml",
            "which it composes",
        ),
        (
            {
                "configs/a.yaml": "extends: {one: v1.2}\n",
                "configs/v1.2.yml": "include: deep/c\n",
                "configs/deep/c.json": '{"x": 1}',
            },
            "configs/deep/c.json",
            "which it composes",
        ),
        (
            {"configs/exp/a.yaml": "parent: base\n", "configs/base.toml": "x = 1\n"},
            "configs/base.toml",
            "which it composes",
        ),
        (
            {"configs/exp/a.yaml": "parent: shared/base\n", "shared/base.yaml": "x: 1\n"},
            "shared/base.yaml",
            "which it composes",
        ),
        (
            {"configs/a.yaml": "args: --config shared/base.ini -v\n", "shared/base.ini": "x=1\n"},
            "shared/base.ini",
            "which it composes",
        ),
        (
            {"configs/a.yaml": "prompt: prompts/system.md\n", "prompts/system.md": "be kind\n"},
            "prompts/system.md",
            "`prompts/system.md` changed, which `configs/a.yaml` names",
        ),
        (
            {"configs/a.yaml": "licence: LICENSE\n", "LICENSE": "free\n"},
            "LICENSE",
            "`LICENSE` changed, which `configs/a.yaml` names",
        ),
        (
            {"configs/a.yaml": "", "e.py": "open('prompts/x.rst')\n", "prompts/x.rst": "be kind\n"},
            "prompts/x.rst",
            "in doubt: `prompts/x.rst` changed, and `prompts/x.rst` may name it",
        ),
    ],
)
def test_what_a_config_names_is_a_dependency(
    tmp_path: Path, files: Mapping[str, str], changed: str, said: str
) -> None:
    others = {"e.py": "", "configs/other/b.yaml": "", "py/other.py": "", "notes.md": ""}
    repository = Repository.make(tmp_path / "repo", {**others, **files})
    given: dict[str, Any] = {
        "command": "python e.py {config} {output}",
        "configs": (next(iter(files)),),
    }

    repository.write({"configs/other/b.yaml": "x: 2\n", "py/other.py": "y = 2\n", "notes.md": "n"})
    assert not plan_for(repository, **given).selected
    repository.write({changed: f"{files[changed].strip()}\n\n"})
    assert said in "".join(chosen(plan_for(repository, **given)).values())


@pytest.mark.parametrize(
    ("files", "changed", "said"),
    [
        ({"configs/a.yaml": "include: parts/*.yaml\n"}, "configs/parts/x.yaml", "`parts/*.yaml`"),
        ({"configs/a.yaml": "include: ./parts\n"}, "configs/parts/deep/x.yaml", "`./parts`"),
        ({"configs/a.yaml": "include: conf.d/\n"}, "conf.d/x.json", "`conf.d/`"),
        ({"configs/a.yaml": "data: data/*/train.csv\n"}, "data/1/train.csv", "`data/*/train.csv`"),
        ({"configs/a.yaml": "", "e.py": "glob('data/*.csv')\n"}, "data/1.csv", "`data/*.csv`"),
    ],
)
def test_a_folder_that_is_named_is_in_doubt(
    tmp_path: Path, files: Mapping[str, str], changed: str, said: str
) -> None:
    others = {"e.py": "", "configs/other/b.yaml": "", changed: "{}\n"}
    repository = Repository.make(tmp_path / "repo", {**others, **files})
    given: dict[str, Any] = {
        "command": "python e.py {config} {output}",
        "configs": ("configs/a.yaml",),
    }

    repository.write({"configs/other/b.yaml": "x: 2\n"})
    assert not plan_for(repository, **given).selected
    repository.commit({changed: '{"x": 2}\n'})
    assert said in chosen(plan_for(repository, **given))["a"]


def test_options_are_not_taken_for_files_of_the_same_name(tmp_path: Path) -> None:
    files = {
        "e.py": "",
        "configs/a.yaml": "defaults:\n  - model: small\n",
        "configs/model/small.yaml": "",
        "configs/small.yaml": "",
    }
    repository = Repository.make(tmp_path / "repo", files)
    repository.write({"configs/small.yaml": "x: 1\n"})

    plan = plan_for(
        repository, command="python e.py {config} {output}", configs=("configs/a.yaml",)
    )

    assert not plan.selected


@pytest.mark.parametrize("name", [b"data/caf\xe9.csv", b"src/caf\xe9.py", b"caf\xe9"])
def test_a_name_that_is_not_utf_8_is_in_doubt(repository: Repository, name: bytes) -> None:
    path = repository.root / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("x = 1\n")
    repository.commit()

    reasons = chosen(plan_for(repository))

    assert set(reasons) == {"cnn", "vit"}
    assert all("caf?" in reason and "is not UTF-8" in reason for reason in reasons.values())
    assert all(reason.encode() for reason in reasons.values())


def test_links_out_of_the_repository_are_in_doubt(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far.yaml").write_text("a: 1\n")
    (repository.root / "configs/cnn.yaml").unlink()
    (repository.root / "configs/cnn.yaml").symlink_to(tmp_path / "outside" / "far.yaml")
    (repository.root / "configs/db").symlink_to(tmp_path / "outside")
    repository.commit({"configs/vit.yaml": "defaults:\n  - db: far\n", "configs/two.yaml": ""})
    repository.git("branch", "-f", "base")
    repository.commit({"README.md": "new\n"})

    assert chosen(plan_for(repository)) == {
        "cnn": "in doubt: `configs/cnn.yaml` is a link out of the repository",
        "vit": "in doubt: `configs/vit.yaml` composes `db/far`, which git does not track",
    }


def test_a_chain_that_is_too_long_to_follow_is_in_doubt(tmp_path: Path) -> None:
    chain = {f"configs/c{n}.yaml": f"_base_: c{n + 1}.yaml\n" for n in range(1000)}
    repository = Repository.make(tmp_path / "repo", {"e.py": "", "o.txt": "", **chain})
    repository.commit({"o.txt": "new\n"})
    command = "python e.py {config} {output}"

    plan = plan_for(repository, command=command, configs=("configs/c0.yaml",))

    assert chosen(plan) == {
        "c0": "in doubt: `configs/c0.yaml` composes a chain of hundreds of files"
    }


@pytest.mark.parametrize("kind", ["relative", "absolute", "loop"])
def test_a_config_that_links_to_nothing_is_refused(repository: Repository, kind: str) -> None:
    targets = {"relative": "gone.yaml", "absolute": "/nowhere/gone.yaml", "loop": "dead.yaml"}
    (repository.root / "configs/dead.yaml").symlink_to(targets[kind])
    repository.commit()

    with pytest.raises(UserError, match=r"matches 'configs/dead.yaml', a link that leads nowhere"):
        plan_for(repository)
    assert plan_for(repository, configs=("configs/*.yaml", "!configs/dead.yaml")).base


@pytest.mark.parametrize("name", ["a\nb.yaml", "a\rb.yaml", "a\u2028b.yaml", "a\x1bb.yaml"])
def test_a_config_whose_name_holds_a_line_break_is_refused(
    repository: Repository, name: str
) -> None:
    repository.commit({f"configs/{name}": "a: 1\n"})

    with pytest.raises(UserError, match="whose name holds a line break or control") as caught:
        plan_for(repository)
    assert str(caught.value).isprintable()


def test_a_changed_name_with_a_line_break_stays_on_one_line(repository: Repository) -> None:
    repository.commit({"src/models/x\n::error::y.py": "", "src/models/cnn.py": "def broken(:\n"})
    repository.git("branch", "-f", "base")
    repository.commit({"src/models/x\n::error::y.py": "z = 1\n"})
    repository.git("mv", "configs/vit.yaml", "configs/v\nit.txt")
    repository.commit()

    plan = plan_for(repository)

    said = [*plan.notes, *chosen(plan).values()]
    assert any("x ::error::y.py" in text for text in said)
    assert any("v it.txt" in text or "`configs/vit.yaml` was deleted" in text for text in said)
    assert not any("\n" in text for text in said)


def test_odd_names_in_a_change_reach_no_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "repo")
    monkeypatch.chdir(project.root)
    for name in (b"data/caf\xe9.csv", b"x\n::error::y.yaml", b"configs/gone\n::error::z.yaml"):
        path = project.root / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text("a: 1\n")
    project.commit()
    project.git("branch", "-f", "base")
    (project.root / "configs/gone\n::error::z.yaml").unlink()
    (project.root / os.fsdecode(b"data/caf\xe9.csv")).write_text("a: 2\n")

    ran = evaluate(tmp_path, "--base-ref", "base", GITHUB_ACTIONS="true")

    assert ran.code == 0
    assert ran.outcomes == {"a": "ok", "b": "ok"}
    assert "`data/caf?.csv` changed, and its name is not UTF-8" in ran.evaluations[0]["reason"]
    assert not [line for line in ran.text.splitlines() if line.startswith("::error")]
    open_bundle(ran.out, word="evaluate")


def test_thousands_of_modules_are_read_once_for_all_configs(tmp_path: Path) -> None:
    modules = {
        f"src/m{n}.py": f"from src.m{n // 2} import a\n"
        + "".join(f"a = 'v{n}-{k}'\n" for k in range(9))
        for n in range(1500)
    }
    configs = {f"configs/c{n}.yaml": f"_target_: src.m{n}.a\n" for n in range(60)}
    everything = "".join(f"import src.m{n}\n" for n in range(1500))
    repository = Repository.make(tmp_path / "repo", {"e.py": everything, **modules, **configs})
    repository.commit({f"assets/{n}.bin": "" for n in range(30)})

    started = time.process_time()
    plan = plan_for(repository, command="python e.py {config} {output}")

    assert len(plan.skipped) == len(configs)
    assert time.process_time() - started < 6, "seconds of CPU; a walk per config takes many more"
