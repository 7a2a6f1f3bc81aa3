"""Which files Python code reaches, read without running it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.evaluate_support import PROJECT, Repository, chosen, passed_over, plan_for


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "repo", PROJECT)


@pytest.mark.parametrize(
    ("source", "changed", "in_doubt"),
    [
        ("from src.models import *\n", "src/models/cnn.py", False),
        ("import importlib\nimportlib.import_module('src.unused')\n", "src/unused.py", False),
        (
            "import importlib\nimportlib.import_module(f'src.models.{x}')\n",
            "src/models/vit.py",
            False,
        ),
        (
            "import importlib\nimportlib.import_module('src.models.' + x)\n",
            "src/models/vit.py",
            False,
        ),
        ("import importlib\nimportlib.import_module('src.m.%s' % x)\n", "src/m/new.py", False),
        ("from importlib import import_module\nimport_module(x)\n", "src/unused.py", True),
        ("import hydra\nhydra.utils.get_class('src.models.' + x)\n", "src/models/vit.py", False),
        ("import pydoc\npydoc.locate(x)\n", "src/unused.py", True),
        ("__import__(x)\n", "src/unused.py", True),
        ("exec(open('x').read())\n", "src/unused.py", True),
        ("import runpy\nrunpy.run_path(x)\n", "src/unused.py", True),
        ("def broken(:\n", "src/unused.py", True),
        (
            "import subprocess\nsubprocess.run(['python', 'src/unused.py'])\n",
            "src/unused.py",
            False,
        ),
        (
            "import subprocess\nsubprocess.run(['python', '-m', 'src.unused'])\n",
            "src/unused.py",
            False,
        ),
        ("if True:\n    def f():\n        import src.unused\n", "src/unused.py", False),
        ("try:\n    import src.unused\nexcept ImportError: pass\n", "src/unused.py", False),
        ("import lazy_loader as lazy\nlazy.attach(__name__, ['b'])\n", "scripts/b.py", False),
    ],
)
def test_imports_that_are_not_plain(
    repository: Repository, source: str, changed: str, *, in_doubt: bool
) -> None:
    repository.commit({"scripts/evaluate.py": source})
    repository.git("branch", "-f", "base")
    repository.commit({changed: "changed = True\n"})

    reasons = chosen(plan_for(repository))

    assert set(reasons) == {"cnn", "vit"}
    assert all(text.startswith("in doubt: ") == in_doubt for text in reasons.values())


@pytest.mark.parametrize(
    ("files", "command", "changed"),
    [
        ({"e.py": "import p.a\n", "src/p/a.py": "", "src/p/__init__.py": ""}, "e.py", "src/p/a.py"),
        ({"e.py": "from p import a\n", "libs/x/src/p/a.py": ""}, "e.py", "libs/x/src/p/a.py"),
        ({"tools/e.py": "import near\n", "tools/near.py": ""}, "tools/e.py", "tools/near.py"),
        ({"p/__main__.py": "from . import a\n", "p/a.py": ""}, "-m p", "p/a.py"),
        ({"src/p/cli.py": "from .a import f\n", "src/p/a.py": ""}, "-m p.cli", "src/p/a.py"),
        ({"e.py": "import logging\n", "p/logging.py": ""}, "e.py", ""),
        ({"e.py": "import logging\n", "logging.py": ""}, "e.py", "logging.py"),
        ({"e.py": "import a.b.c as d\n", "a/b/__init__.py": ""}, "e.py", "a/b/__init__.py"),
        ({"e.py": "from .. import up\n", "up.py": ""}, "e.py", "up.py"),
    ],
)  # fmt: skip
def test_module_names_are_found_where_python_might_look(
    tmp_path: Path, files: Mapping[str, str], command: str, changed: str
) -> None:
    repository = Repository.make(
        tmp_path / "repo", {"configs/m.yaml": "a: 1\n", "o.py": "", **files}
    )
    command = f"uv run python {command} {{config}} {{output}}"

    repository.write({"o.py": "changed = 1\n"})
    assert not plan_for(repository, command=command).selected
    others = [path for path in files if path.endswith(".py") and path != changed]
    if not changed:
        repository.write({others[-1]: "changed = 1\n"})
        assert not plan_for(repository, command=command).selected
    else:
        repository.write({changed: "changed = 1\n"})
        assert set(chosen(plan_for(repository, command=command))) == {"m"}


def test_python_path_is_searched(tmp_path: Path) -> None:
    files = {"e.py": "import json\nimport m.a\n", "configs/c.yaml": "", "vendor/deps/m/a.py": ""}
    repository = Repository.make(tmp_path / "repo", {**files, "other/m/a.py": ""})
    environ = {"PYTHONPATH": f"/nowhere:{repository.root}/vendor/deps"}
    command = "python e.py {config} {output}"

    repository.write({"other/m/a.py": "changed = 1\n"})
    assert not plan_for(repository, environ, command=command).selected
    repository.write({"vendor/deps/m/a.py": "changed = 1\n"})
    assert plan_for(repository, environ, command=command).selected


@pytest.mark.parametrize(
    "command",
    [
        "make evaluate C={config} O={output}",
        "bash run.sh {config} {output}",
        "python ../e.py {config} {output}",
    ],
)
def test_without_a_script_to_read_everything_is_evaluated(
    repository: Repository, command: str
) -> None:
    repository.commit({"README.md": "new\n"})

    reasons = chosen(plan_for(repository, command=command))

    assert set(reasons) == {"cnn", "vit"}
    assert "no Python script" in reasons["cnn"]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    repository = Repository.make(
        tmp_path / "repo",
        {"e.py": "import lib.a\n", "shared/lib/a.py": "", "configs/m.yaml": "a: 1\n"},
    )
    (repository.root / "lib").symlink_to("shared/lib")
    repository.commit()
    repository.git("branch", "-f", "base")
    repository.write({"shared/lib/a.py": "x = 1\n"})

    assert plan_for(repository, command="python e.py {config} {output}").selected


def test_a_deleted_module_counts_where_it_is_still_imported(repository: Repository) -> None:
    (repository.root / "src/models/layers.py").unlink()
    repository.commit()

    assert "`src/models/layers.py` was deleted" in chosen(plan_for(repository))["cnn"]
    assert set(passed_over(plan_for(repository))) == {"vit"}
