"""The static reading of defaults lists against Hydra itself, on random config trees."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlactions.evaluate.hydra import Composer
from mlactions.evaluate.tree import Tree

PYTHON = Path(__file__).parents[1] / ".tools" / "example" / "bin" / "python"
TREES = 20

GROUPS = ("db", "db/engine", "model", "model/head", "optim")
OPTIONS = ("a", "b", "c")

# Prints, for each folder, the files that Hydra would read; null for a tree that it refuses.
ASK_HYDRA = """
import json, sys
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

def files(folder, overrides):
    with initialize_config_dir(folder, version_base="1.3"):
        found = GlobalHydra.instance().config_loader().compute_defaults_list(
            config_name="main", overrides=overrides, run_mode=RunMode.RUN
        )
    paths = {item.config_path for item in found.defaults if item.config_path}
    return sorted(path for path in paths if not path.startswith(("hydra", "_")))

def answer(folder, overrides):
    try:
        return files(folder, overrides)
    except Exception:
        return None

print(json.dumps([answer(*tree) for tree in json.load(sys.stdin)]))
"""


def entries(dice: random.Random, group: str) -> Iterator[Any]:
    """Yield a random defaults list for a file in `group`, each group at most once."""
    used: set[str] = set()
    for _ in range(dice.randint(0, 2)):
        chosen = dice.choice(
            [g for g in GROUPS if not group or g.startswith(f"{group}/")] or GROUPS
        )
        nested = bool(group) and chosen.startswith(f"{group}/")
        key = chosen.removeprefix(f"{group}/") if nested else f"/{chosen}" if group else chosen
        if chosen in used:
            continue
        used.add(chosen)
        option = dice.choice(OPTIONS)
        kind = dice.choice(("plain", "absolute", "package", "list", "optional", "name"))
        if kind == "name" and group:
            yield option
        elif kind == "name":
            yield f"{chosen}/{option}"
        elif kind == "absolute":
            yield {f"/{chosen}": option}
        elif kind == "package":
            yield {f"{key}@x.y{dice.randint(0, 99)}": option}
        elif kind == "list":
            yield {key: dice.sample(OPTIONS, 2)}
        elif kind == "optional":
            yield {f"optional {key}": dice.choice((*OPTIONS, "missing"))}
        else:
            yield {key: option}


def write_tree(root: Path, dice: random.Random) -> None:
    """Write a tree of configs that compose each other. JSON is YAML."""
    for path in ["main", *(f"{group}/{option}" for group in GROUPS for option in OPTIONS)]:
        group = path.rpartition("/")[0]
        file = root / f"{path}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        defaults = list(entries(dice, group)) if path == "main" or dice.random() < 0.5 else []
        file.write_text(json.dumps({"defaults": [*defaults, "_self_"], "value": 1}))


@pytest.mark.skipif(not PYTHON.exists(), reason="Hydra is in the example's environment: make test")
def test_no_file_that_hydra_reads_is_missed(tmp_path: Path) -> None:
    dice = random.Random(0)  # noqa: S311  # test data
    trees: list[tuple[str, list[str]]] = []
    for number in range(TREES):
        write_tree(tmp_path / str(number), dice)
        overrides = [f"{dice.choice(GROUPS)}={dice.choice(OPTIONS)}"] if dice.random() < 0.3 else []
        trees.append((str(tmp_path / str(number)), overrides))
    asked = subprocess.run(
        [str(PYTHON), "-c", ASK_HYDRA],
        input=json.dumps(trees),
        capture_output=True,
        text=True,
        check=True,
    )
    composed = 0
    for (folder, overrides), read in zip(trees, json.loads(asked.stdout), strict=True):
        if read is None:
            continue
        root = Path(folder)
        tree = Tree(root, [path.relative_to(root).as_posix() for path in root.rglob("*.yaml")])
        found = set(Composer(tree, "").closure("main.yaml", overrides).files)
        assert {f"{path}.yaml" for path in read} <= found
        composed += len(read) > 1
    assert composed > TREES / 4
