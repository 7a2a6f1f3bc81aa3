"""Generating a sweep: what is written, what Hydra makes of it, and what is refused."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from mlactions.schema import schema
from mlactions.sweep import yaml_text
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.model import Trial
from mlactions.sweep.overrides import Writer
from mlactions.sweep.user.compose_trials import answered
from tests.mlflow_support import ROOT
from tests.sweep_support import Project, space

GRID = """\
program: train.py
metric: {name: loss}
parameters:
  training.max_lr: choice(0.1, 1e-1, 0.2)
  model: glob(*)
  model.depth: {values: [2, 4], when: {model: vit}}
exclude: [{model: vit, training.max_lr: 0.2}]
seeds: 2
"""


def answer(project: Project, name: str, *keys: str) -> dict[str, Any]:
    """Compose a trial as the training does."""
    question = {
        "config_dir": str(project.root / "configs"),
        "config_name": "train",
        "imports": [],
        "keys": [],
        "choices": [],
        "values": [],
        "files": [{"group": "sweeps/sweep", "file": name, "names": list(keys)}],
    }
    found = answered(question)["files"][0]
    assert "values" in found, found
    return dict(found["values"])


def test_a_grid_becomes_files_that_compose(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    done = project.sweep()
    assert done.code == 0, done.said
    manifest = project.manifest()
    Draft202012Validator(schema("sweep-manifest")).validate(manifest)
    rows = manifest["trials"]
    assert len(rows) == 8
    assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
    assert all((project.folder() / f"{row['name']}.yaml").is_file() for row in rows)
    found = answer(project, rows[-3]["name"], "model.name", "model.depth", "seed", "name")
    assert found == {
        "model.name": "vit",
        "model.depth": 4,
        "seed": 1,
        "name": "${model.name}-${seed}",
    }
    # vit with depth 2, its default, and without the parameter would be the same configuration.
    assert done.result["composed"] == {
        "how": "choices",
        "config": "train",
        "choices": 2,
        "files": 2,
    }
    assert done.result["status"] == "pass"


def test_generating_again_changes_no_byte(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    project.sweep("--backend", "slurm", "--backend", "ray")
    before = {path.name: path.read_bytes() for path in project.folder().iterdir()}
    assert project.sweep("--backend", "slurm", "--backend", "ray").code == 0
    assert before == {path.name: path.read_bytes() for path in project.folder().iterdir()}


def test_a_default_that_is_spelled_out_has_the_hash_of_one_that_is_not(tmp_path: Path) -> None:
    text = "program: train.py\nparameters:\n  model: {values: [vit]}\n"
    short = Project.make(tmp_path / "a", text)
    long = Project.make(
        tmp_path / "b", f"{text}  model.depth: {{value: 2.0}}\n  training.max_lr: 1e-1\n"
    )
    assert short.sweep().code == long.sweep().code == 0
    assert short.manifest()["trials"][0]["hash"] == long.manifest()["trials"][0]["hash"]


def test_a_bigger_tree_with_groups_packages_and_interpolations(tmp_path: Path) -> None:
    project = Project.make(
        tmp_path,
        """\
program: train.py
parameters:
  model: {values: [cnn, vit]}
  optimizer@training.optimizer: {values: [adam, sgd]}
  training.optimizer.momentum: {values: [0.5, 0.99], when: {optimizer@training.optimizer: sgd}}
  training.epochs: {values: [3, "${model.width}"]}
  training.names: {values: [[x], [y, z]]}
  "+training.extra": {value: {deep: [1, {er: true}]}}
exclude: [{model: vit, training.epochs: "${model.width}"}]
""",
    )
    done = project.sweep("--compose-all")
    assert done.code == 0, done.said
    rows = project.manifest()["trials"]
    assert done.result["composed"]["files"] == len(rows) == 18
    row = next(row for row in rows if row["overrides"].get("training.optimizer.momentum") == 0.99)
    found = answer(project, row["name"], "training.optimizer", "training.extra", "training.warmup")
    assert found == {
        "training.optimizer": {"kind": "sgd", "momentum": 0.99},
        "training.extra": {"deep": [1, {"er": True}]},
        "training.warmup": "${training.epochs}",
    }


def test_resolvers_and_structured_configs_of_the_project_count(tmp_path: Path) -> None:
    configs = {
        "train.yaml": "defaults:\n  - schema\n  - _self_\n"
        "lr: ${double:0.05}\nseed: 0\nmode: fast\n",
    }
    module = """\
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
OmegaConf.register_new_resolver("double", lambda value: 2 * value, replace=True)
@dataclass
class Schema:
    lr: float = 0.1
    seed: int = 0
    layers: int = 2
    mode: str = "fast"
ConfigStore.instance().store(name="schema", node=Schema)
"""
    good = "program: train.py\nparameters:\n  layers: {values: [1, 2]}\n"
    project = Project.make(tmp_path / "a", good, configs)
    (project.root / "registered.py").write_text(module)
    assert project.sweep("--import-module", "registered").code == 0
    assert project.sweep("--replace").code == 2
    bad = Project.make(
        tmp_path / "b", "program: train.py\nparameters:\n  layers: {values: [1, two]}\n", configs
    )
    (bad.root / "registered.py").write_text(module)
    done = bad.sweep("--import-module", "registered")
    assert done.code == 2
    assert 'the config refuses "two"' in done.said
    assert "ValidationError" in done.said


def test_a_config_of_the_config_store_alone_is_found(tmp_path: Path) -> None:
    module = """\
from dataclasses import dataclass
from hydra.core.config_store import ConfigStore
@dataclass
class Config:
    lr: float = 0.1
    seed: int = 3
ConfigStore.instance().store(name="stored", node=Config)
"""
    text = "program: train.py\nparameters:\n  lr: {values: [0.1, 0.2]}\n"
    project = Project.make(tmp_path, text, {"train.yaml": "{}\n"})
    (tmp_path / "registered.py").write_text(module)
    given = ["--import-module", "registered", "--config-name"]
    done = project.sweep(*given, "stored")
    assert done.code == 0, done.said
    assert [row["seed"] for row in project.manifest()["trials"]] == [3, 3]
    told = project.sweep(*given, "sotred", "--replace")
    assert (told.code, "sotred" in told.said) == (2, True)
    assert "Traceback" not in told.said


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("python train.py && echo done", "&&"),
        ("python train.py; echo", ";"),
        ("python train.py | tee log", "|"),
        ("python train.py 2>&1", ">&"),
        ("python train.py '&&' \"a;b\" a\\;b", ""),
        ("bash -c 'python train.py \"$@\" && echo done' bash", ""),
    ],
)
def test_what_only_a_shell_reads_is_refused_in_a_command(
    tmp_path: Path, line: str, word: str
) -> None:
    project = Project.make(tmp_path, "parameters: {note: {values: [a]}}\n")
    done = project.sweep("--no-compose", "--command", line)
    assert (done.code, f"holds `{word}`" in done.said) == ((2, True) if word else (0, False))


STRANGE = [
    "with space",
    " leading and trailing ",
    "quote ' and \" and `",
    "line\nbreak",
    "tab\tand\rreturn",
    "$(touch hacked)",
    "`touch hacked`",
    "$HOME",
    "a=b",
    "--help",
    "# comment",
    "- item",
    "{a: 1}",
    "[1, 2]",
    "a, b",
    "yes",
    "null",
    "0.1",
    "1e-1",
    "0x10",
    "12:30:45",
    "2026-11-01",
    "~",
    "*",
    "&anchor",
    "!tag",
    "%",
    "@",
    "\\",
    "\\n",
    "ünïcödé ✓ 日本語 😀",
    "\u2028\u0085\ufeff\u202e",
    "",
    "\x1b[31m\x7f\x01",
]


def test_strange_values_reach_the_program_unchanged(tmp_path: Path) -> None:
    listed = yaml_text.scalar(STRANGE)
    project = Project.make(
        tmp_path, f"program: train.py\nparameters:\n  note: {{values: {listed}}}\n"
    )
    done = project.sweep("--compose-all")
    assert done.code == 0, done.said
    assert [row["overrides"]["note"] for row in project.manifest()["trials"]] == STRANGE
    assert project.start().returncode == 0
    assert len(project.calls()) == len(STRANGE)
    assert not (tmp_path / "hacked").exists()


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
)


def is_plain(value: Any) -> bool:
    return not (isinstance(value, str) and ("${" in value or value == "???"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(scalars.filter(is_plain), min_size=1, max_size=6))
def test_any_value_survives_the_file_and_hydra(given_values: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        keys = [f"+x{place}" for place in range(len(given_values))]
        parameters = "".join(f'  "{key}": {{value: 1}}\n' for key in keys)
        found = space(f"program: train.py\nparameters:\n{parameters}")
        project = Project.make(Path(name), "")
        project.folder().mkdir(parents=True)
        pairs = {f"x{place}": value for place, value in enumerate(given_values)}
        text = Writer(found, ()).text(Trial(1, pairs, "0" * 64), "sweep")
        (project.folder() / "0001-00000000.yaml").write_text(text, encoding="utf-8", newline="")
        arrived = answer(project, "0001-00000000", *pairs)
    for key, value in pairs.items():
        assert canonical_value(arrived[key]) == canonical_value(value)
        assert type(arrived[key]) is type(value)


def test_infinity_and_nan_are_written_as_yaml_has_them(tmp_path: Path) -> None:
    project = Project.make(tmp_path, "")
    found = space("program: train.py\nparameters:\n  note: {value: 1}\n")
    project.folder().mkdir(parents=True)
    for number, value in enumerate((math.inf, -math.inf, math.nan, 1e-300, 1e22), start=1):
        trial = Trial(number, {"note": value}, "0" * 64)
        (project.folder() / f"{trial.name()}.yaml").write_text(Writer(found, ()).text(trial, "s"))
        arrived = answer(project, trial.name(), "note")["note"]
        assert isinstance(arrived, float)
        assert arrived == value or (math.isnan(value) and math.isnan(arrived))


BAD = {
    "an unknown parameter": ("training.max_rl: {values: [1]}", "Did you mean `training.max_lr`"),
    "of another option": ("model.depth: {values: [1]}", "the config has no such key"),
    "an unknown option": ("model: {values: [cnn, vitt]}", "Did you mean `vit`"),
    "a glob without a match": ("model: glob(x*)", "the glob matches no option, of cnn, vit"),
    "a glob over no group": ("training: glob(*)", "because there are none"),
    "a number for a group": ("model: {min: 1, max: 2}", "which has no numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_the_config_tree_does_not_have_is_refused(tmp_path: Path, name: str) -> None:
    text, message = BAD[name]
    project = Project.make(tmp_path, f"program: train.py\nparameters:\n  {text}\n")
    done = project.sweep()
    assert done.code == 2
    assert message in done.said
    assert "sweep.yaml:3" in done.said
    assert not list((tmp_path / "configs" / "sweeps").glob("*"))[1:]


FLOAT = (
    "`training.epochs` is 2 in the config, the float {} here;"
    " write `2.0` in the config if floats are meant"
)


def test_a_value_of_another_kind_is_a_warning(tmp_path: Path) -> None:
    project = Project.make(
        tmp_path, "program: train.py\nparameters:\n  training.epochs: {values: [many]}\n"
    )
    done = project.sweep()
    assert (done.code, done.result["status"]) == (0, "warn")
    assert done.result["warnings"] == ['`training.epochs` is 2 in the config, "many" here']
    text = "program: train.py\nparameters:\n  training.epochs: {values: [4.0, 8.0]}\n"
    (tmp_path / "configs" / "sweep.yaml").write_text(text)
    warnings = project.sweep("--replace").result["warnings"]
    assert warnings == [FLOAT.format("4.0")]


@pytest.mark.parametrize(
    ("domain", "first"),
    [
        ("{values: [1.5, 2]}", "1.5"),
        ("{values: [2, 4.0]}", "4.0"),
        ("{values: [1.5, 2.5]}", "1.5"),
        ("{distribution: q_uniform, q: 0.5, min: 1, max: 2}", "1.5"),
        (f"{{values: [{', '.join(map(str, range(60)))}, 60.5]}}", "60.5"),  # beyond the samples
        ("{values: [2, 4]}", ""),
        ("{distribution: q_uniform, q: 2, min: 2, max: 8}", ""),
    ],
)
def test_floats_for_an_integer_of_the_config_are_a_warning(
    tmp_path: Path, domain: str, first: str
) -> None:
    text = f"program: train.py\nparameters:\n  training.epochs: {domain}\n"
    done = Project.make(tmp_path, text).sweep()
    assert done.code == 0, done.said
    assert done.result["warnings"] == ([FLOAT.format(first)] if first else [])
    assert done.result["status"] == ("warn" if first else "pass")


def test_a_float_that_is_drawn_later_is_a_warning(tmp_path: Path) -> None:
    text = "program: train.py\nmethod: random\nrun_cap: 1\nparameters:\n"
    text += "  training.epochs: {values: [2, 1.5], probabilities: [1, 0]}\n"
    assert Project.make(tmp_path, text).sweep().result["warnings"] == [FLOAT.format("1.5")]


def test_floats_for_a_float_of_the_config_are_as_they_were(tmp_path: Path) -> None:
    text = "program: train.py\nparameters:\n  training.max_lr: {values: [1, 0.5]}\n"
    assert Project.make(tmp_path, text).sweep().result["warnings"] == []


@pytest.mark.parametrize(
    ("config", "more", "seeds"),
    [
        ("seed: 42", "", [42, 42]),
        ("seed: 42", "seeds: [7]\n", [7, 7]),
        ("seed: null", "", [None, None]),
        ("seed: ${other}\nother: 3", "", [None, None]),
        ("run: {seed: 42}", "seed_parameter: run.seed\n", [42, 42]),
        ("run: {seed: 42}", "  run: {value: {seed: 1}}\nseed_parameter: run.seed\n", [None, None]),
        ("seed: 42", "  seed: {min: 3, max: 3}\n", [None, None]),
    ],
)
def test_a_trial_has_the_seed_that_it_is_run_with(
    tmp_path: Path, config: str, more: str, seeds: list[int | None]
) -> None:
    text = f"program: train.py\nparameters:\n  lr: {{values: [1, 2]}}\n{more}"
    project = Project.make(tmp_path, text, {"train.yaml": f"lr: 0\n{config}\n"})
    done = project.sweep()
    assert done.code == 0, done.said
    assert [row["seed"] for row in project.manifest()["trials"]] == seeds


def test_another_seed_of_the_config_is_another_trial(tmp_path: Path) -> None:
    text = "program: train.py\nparameters:\n  lr: {values: [1, 2]}\n"
    project = Project.make(tmp_path, text, {"train.yaml": "lr: 0\nseed: 42\n"})
    assert project.sweep().code == 0
    before = project.manifest()["trials"]
    path = project.folder() / f"{before[0]['name']}.yaml"
    assert "seed: 42\n" in path.read_text()
    (tmp_path / "configs" / "train.yaml").write_text("lr: 0\nseed: 43\n")
    told = project.sweep()
    assert (told.code, "with seed 43" in told.said) == (2, True)
    assert project.sweep("--replace").code == 0
    after = project.manifest()["trials"]
    assert [row["hash"] for row in after] == [row["hash"] for row in before]
    assert [row["seed"] for row in after] == [43, 43]


def test_another_formula_of_the_seed_is_another_configuration(tmp_path: Path) -> None:
    text = "program: train.py\nparameters:\n  lr: {values: [1]}\n"
    hashes = set()
    for formula in ("${lr}", "${oc.decode:1}"):
        config = {"train.yaml": f"lr: 0\nseed: {formula}\n"}
        project = Project.make(tmp_path, text, config)
        assert project.sweep("--replace").code == 0
        hashes.add(project.manifest()["trials"][0]["hash"])
    assert len(hashes) == 2


def test_a_report_says_no_digits_that_say_nothing_and_how_best_json_comes(tmp_path: Path) -> None:
    text = "program: train.py\nmetric: {name: loss}\nmethod: random\nrun_cap: 3\n"
    text += "parameters:\n  training.max_lr: {min: 0.0, max: 1.0}\n"
    project = Project.make(tmp_path, text)
    assert project.sweep("--no-compose").code == 0
    report = (tmp_path / "out" / "report.md").read_text()
    (line,) = [line for line in report.splitlines() if line.startswith("| `training.max_lr`")]
    assert re.search(r"\| 3 in \d of 10 tenths +\| 0\.\d{1,4} … 0\.\d{1,4} +\|", line), line
    assert "Without MLflow there will be no `best.json`" in report


@pytest.mark.parametrize(
    ("program", "warned"),
    [
        ("import argparse\nparser = argparse.ArgumentParser()\n", True),
        ("    from click import command\n", True),
        ("import argparse, hydra\n", False),
        ("import sys  # argparse\n", False),
    ],
)
@pytest.mark.parametrize("given", [[], ["--command", "env A=1 python train.py ${args}"]])
def test_a_program_that_does_not_use_hydra_is_warned_of(
    tmp_path: Path, program: str, warned: bool, given: list[str]
) -> None:
    text = "program: train.py\nparameters: {note: {values: [a]}}\n"
    project = Project.make(tmp_path, text)
    (tmp_path / "train.py").write_text(program)
    done = project.sweep("--no-compose", *given)
    told = " ".join(done.result["warnings"])
    assert (done.code, "does not import Hydra" in told) == (0, warned)


def test_seeds_need_their_parameter(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID + "seed_parameter: sed\n")
    done = project.sweep()
    assert done.code == 2
    assert "Did you mean `seed`" in done.said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config-name", "trian"], "which is no config there. There are train."),
        (["--config-dir", "conf"], "`config-dir` is 'conf'"),
        (["--space", "none.yaml"], "there is no such file"),
        (["--backend", "slrum"], "There are shell, matrix, slurm, ray, hydra"),
        (["--name", "a b"], "Use letters, digits"),
        (["--python", "no-such-python"], "cannot be run"),
        (["--command", "python 'x"], "Close its quotes"),
        (["--experiment", "e"], "`tracking-uri` is not"),
        (["--tracking-uri", "http://me:secret@host"], "holds credentials"),
        (["--data-version", "it's"], "without quotes"),
        (["--backend", "hydra"], "`when` and `exclude` cannot be said"),
        (["--out", "configs"], "which is not ours"),
    ],
)
def test_bad_options(tmp_path: Path, arguments: list[str], message: str) -> None:
    project = Project.make(tmp_path, GRID)
    if arguments[0] == "--out":
        arguments = ["--out", str(tmp_path / "configs")]
    done = project.sweep(*arguments)
    assert done.code == 2, done.said
    assert message in done.said
    assert "secret" not in done.said


def test_a_wrong_config_name_is_answered_with_configs_that_can_be_trained(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    for name in ("baseline", "drift", "lr"):
        (tmp_path / "configs" / f"{name}.yaml").write_text(GRID)
    done = project.sweep("--config-name", "trian", "--space", "configs/lr.yaml")
    assert (done.code, "There are train." in done.said) == (2, True), done.said


def test_a_missing_space_is_answered_with_a_whole_one(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    done = project.sweep("--space", "configs/none.yaml")
    assert (done.code, "no search space" in done.said) == (2, True), done.said
    space = done.said[done.said.index("{program") : done.said.index("}}}") + 3]
    (tmp_path / "configs" / "none.yaml").write_text(space)
    assert project.sweep("--space", "configs/none.yaml").code == 0


def test_a_refused_call_leaves_the_earlier_report(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    assert project.sweep().code == 0
    before = (tmp_path / "out" / "result.json").read_bytes()
    assert project.sweep("--config-name", "trian").code == 2
    assert (tmp_path / "out" / "result.json").read_bytes() == before


def test_no_command_is_an_error_and_an_option_helps(tmp_path: Path) -> None:
    project = Project.make(tmp_path, "parameters: {note: {values: [a]}}\n")
    assert "no training command" in project.sweep().said
    assert project.sweep("--command", "python train.py --flag ${args} last").code == 0
    text = (project.folder() / "run_sweep.sh").read_text()
    assert "exec python train.py --flag --config-name=train" in text
    assert text.count('/$name" last\n') == 1


def test_above_the_budget_nothing_is_left_behind(tmp_path: Path) -> None:
    budget = "budget: {trials: 4, gpu_hours: 1, hours_per_trial: 0.5}\n"
    project = Project.make(tmp_path, GRID + budget)
    done = project.sweep()
    assert (done.code, done.result["status"]) == (1, "refused")
    assert done.result["verdict"].startswith(
        "Refused: 8 trials are left to run, and the budget is 4;"
    )
    assert not project.folder().exists()


def test_another_sweep_of_the_same_name_is_not_written_over(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    project.sweep()
    before = {path.name: path.read_bytes() for path in project.folder().iterdir()}
    (tmp_path / "configs" / "sweep.yaml").write_text(GRID.replace("0.2", "0.3"))
    done = project.sweep()
    assert done.code == 2
    assert "sweep exists" in done.said
    assert before == {path.name: path.read_bytes() for path in project.folder().iterdir()}
    assert project.sweep("--replace").code == 0
    names = {path.stem for path in project.folder().glob("*.yaml")}
    assert names == {row["name"] for row in project.manifest()["trials"]}


def test_nothing_of_a_replaced_sweep_stays(tmp_path: Path) -> None:
    text = "program: train.py\nparameters: {training.max_lr: {values: [0.1, 0.2]}}\n"
    project = Project.make(tmp_path, text)
    given = ["--backend", "slurm", "--backend", "hydra"]
    assert project.sweep("--no-compose", *given).code == 0
    folder = project.folder()
    first = {path.name for path in folder.iterdir()}
    assert {"sweep.sbatch", "submit_slurm.sh", "multirun.sh"} <= first
    old = project.manifest()["trials"]
    (folder / "best.json").write_text("{}")
    (folder / "notes.txt").write_text("mine")
    (folder / ".state").mkdir()
    for name in (old[0]["name"], old[-1]["name"], ".gitignore", ".lock"):
        (folder / ".state" / name).touch()
    (tmp_path / "configs" / "sweep.yaml").write_text(text.replace("0.2", "0.3"))
    assert project.sweep("--no-compose", "--backend", "ray", "--replace").code == 0
    rows = project.manifest()["trials"]
    assert rows[0]["name"] == old[0]["name"]
    assert old[-1]["name"] not in {row["name"] for row in rows}
    scripts = {"manifest.json", "run_sweep.sh", "submit_ray.sh", "sweep_trials.py"}
    trials = {f"{row['name']}.yaml" for row in rows}
    names = {path.name for path in folder.iterdir()}
    assert names == scripts | trials | {".state", "notes.txt"}
    kept = {path.name for path in (folder / ".state").iterdir()}
    assert kept == {rows[0]["name"], ".gitignore", ".lock"}
    assert project.sweep("--no-compose", "--no-files", "--replace").code == 0
    assert {path.name for path in folder.iterdir()} == {"manifest.json", ".state", "notes.txt"}


def test_a_call_that_ended_half_way_does_not_block_the_folder(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    broken = project.sweep("--no-compose", GITHUB_OUTPUT=str(tmp_path))  # a folder, not a file
    assert broken.code not in {0, 1}
    assert (tmp_path / "out" / "matrix.json").exists() or (tmp_path / "out" / "space.yaml").exists()
    assert project.sweep("--no-compose").code == 0


def test_a_space_that_grows_at_its_end_goes_on(tmp_path: Path) -> None:
    parameters = "parameters:\n  training.max_lr: interval(0, 1)\n"
    text = f"program: train.py\nmethod: random\nrun_cap: {{}}\n{parameters}"
    project = Project.make(tmp_path, text.format(3))
    project.sweep()
    before = project.manifest()["trials"]
    (tmp_path / "configs" / "sweep.yaml").write_text(text.format(5))
    assert project.sweep().code == 0
    assert project.manifest()["trials"][:3] == before
    assert len(project.manifest()["trials"]) == 5


def test_a_half_written_manifest_is_named_and_replaced(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    project.sweep()
    path = project.folder() / "manifest.json"
    whole = path.read_text()
    for text in (whole[: len(whole) // 2], "{}", '{"trials": [1]}', ""):
        path.write_text(text)
        done = project.sweep()
        assert done.code == 2
        assert "--replace" in done.said or "manifest" in done.said
        assert project.start().returncode == 2
    assert project.sweep("--replace").code == 0
    assert path.read_text() == whole


def test_two_sweeps_at_once_in_one_folder(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    lock = tmp_path / "configs" / "sweeps" / ".sweep.lock"
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = project.sweep()
        assert done.code == 2
        assert "another process is writing this sweep" in done.said
        assert project.sweep("--name", "other").code == 0  # beside it, nothing is in the way
    assert project.sweep().code == 0
    assert {path.name for path in lock.parent.iterdir() if path.is_dir()} == {"sweep", "other"}


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    project.folder().mkdir(parents=True)
    (project.folder() / "mine.yaml").write_text("a: 1\n")
    done = project.sweep("--replace")
    assert done.code == 2
    assert "no sweep's" in done.said
    assert (project.folder() / "mine.yaml").read_text() == "a: 1\n"


def test_without_files_there_is_only_the_manifest(tmp_path: Path) -> None:
    text = "parameters:\n  a: range(0, 100)\n  b: range(0, 30)\n"
    project = Project.make(tmp_path, text)
    assert project.sweep("--no-files", "--no-compose").code == 0
    assert [path.name for path in project.folder().iterdir()] == ["manifest.json"]
    assert len(project.manifest()["trials"]) == 3000


def test_generating_executes_nothing(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    project.sweep("--backend", "slurm", "--backend", "ray", "--backend", "matrix")
    assert not project.calls()


PLAIN = """\
program: train.py
parameters:
  training.max_lr: {values: [0.1, 0.2]}
  note: {values: ["it's", '"$(x)"']}
max_parallel: 3
resources: {gpus: 2, cpus: 4, memory_gb: 16, hours: 1.5, partition: gpu, account: lab}
seeds: [1, 2]
"""


def test_all_scripts_are_clean_to_shellcheck(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "with 'odd name", PLAIN)
    done = project.sweep(
        "--backend",
        "slurm",
        "--backend",
        "ray",
        "--backend",
        "hydra",
        "--tracking-uri",
        "sqlite:///a b.db",
        "--experiment",
        "it's",
    )
    assert done.code == 0, done.said
    scripts = [path for path in project.folder().iterdir() if path.suffix in {".sh", ".sbatch"}]
    assert len(scripts) == 5
    checker = Path(sys.executable).parent / "shellcheck"
    done_check = subprocess.run([checker, *scripts], capture_output=True, text=True, check=False)
    assert done_check.stdout == ""
    batch = (project.folder() / "sweep.sbatch").read_text()
    for line in (
        "--gres=gpu:2",
        "--cpus-per-task=4",
        "--mem=16384M",
        "--time=90",
        "--partition=gpu",
        "--requeue",
    ):
        assert f"#SBATCH {line}\n" in batch


def fake(folder: Path, name: str) -> dict[str, str]:
    """Put a program that writes its arguments and some variables down at the head of the PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "${{SWEEP_OFFSET-}} $*" >>{folder}/{name}.log\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}


def test_slurm_arrays_come_in_chunks_of_what_is_left(tmp_path: Path) -> None:
    project = Project.make(
        tmp_path, "program: train.py\nmax_parallel: 3\nparameters:\n  note: range(0, 25)\n"
    )
    assert project.sweep("--backend", "slurm").code == 0
    project.start("2", "12")
    environ = fake(tmp_path / "bin", "sbatch") | {"SWEEP_CHUNK": "10"}
    script = str(project.folder() / "submit_slurm.sh")
    subprocess.run(["bash", script, "--nice"], env=environ, check=True)
    lines = (tmp_path / "bin" / "sbatch.log").read_text().splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["0", "--export=ALL", "--array=1,3-10%3"],
        ["10", "--export=ALL", "--array=1,3-10%3"],
        ["20", "--export=ALL", "--array=1-5%3"],
    ]
    assert all("--nice" in line for line in lines)
    task = {
        **environ,
        "SLURM_ARRAY_TASK_ID": "3",
        "SWEEP_OFFSET": "10",
        "SWEEP_FOLDER": str(project.folder()),
    }
    subprocess.run(
        ["bash", str(project.folder() / "sweep.sbatch")], env=task, check=True, capture_output=True
    )
    assert project.calls()[-1]["argv"][1].startswith("+sweeps/sweep=0013-")


def test_ray_gets_a_job_per_trial_that_is_left(tmp_path: Path) -> None:
    project = Project.make(tmp_path, PLAIN)
    project.sweep("--backend", "ray")
    environ = fake(tmp_path / "bin", "ray") | {"SWEEP_STAMP": "7", "SWEEP_TRIALS": "2-3"}
    subprocess.run(["bash", str(project.folder() / "submit_ray.sh")], env=environ, check=True)
    lines = (tmp_path / "bin" / "ray.log").read_text().splitlines()
    assert len(lines) == 2
    assert (
        "--entrypoint-num-gpus 2 --entrypoint-num-cpus 4 --entrypoint-memory 17179869184"
        in lines[0]
    )
    assert lines[0].endswith("-- env SWEEP_COMMIT= bash configs/sweeps/sweep/run_sweep.sh 2")
    names = [line.split("--submission-id ")[1].split()[0] for line in lines]
    assert len(set(names)) == 2


def test_hydras_own_line_says_the_same_grid(tmp_path: Path) -> None:
    project = Project.make(tmp_path, PLAIN)
    project.sweep("--backend", "hydra")
    (tmp_path / "train.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    environ = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(project.folder() / "multirun.sh")],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    from hydra.core.override_parser.overrides_parser import OverridesParser

    words = [word for word in json.loads(done.stdout) if not word.startswith("--")]
    parsed = OverridesParser.create().parse_overrides(words)
    found = {item.key_or_group: item for item in parsed}
    assert [item.text for item in found["note"]._value.list] == ["it's", '"$(x)"']  # type: ignore[union-attr, unused-ignore]
    assert found["training.max_lr"]._value.list == [0.1, 0.2]  # type: ignore[union-attr, unused-ignore]
    assert words[0] == "hydra/launcher=submitit_slurm"


def test_the_matrix_is_sharded_below_githubs_limit(tmp_path: Path) -> None:
    text = "program: train.py\nmax_parallel: 3\nparameters:\n  note: range(0, 600)\n"
    project = Project.make(tmp_path, text)
    output = tmp_path / "output"
    done = project.sweep("--backend", "matrix", GITHUB_OUTPUT=str(output))
    assert done.code == 0, done.said
    jobs = json.loads((tmp_path / "out" / "matrix.json").read_text())["include"]
    assert len(jobs) == 256
    assert jobs[0]["trials"] == "1-3"
    told = output.read_text().splitlines()
    assert (
        told[told.index(next(line for line in told if line.startswith("max-parallel<<"))) + 1]
        == "3"
    )
    assert any(line.startswith("matrix<<") for line in told)
    trainings = json.loads((tmp_path / "out" / "train-matrix.json").read_text())["include"]
    first = project.manifest()["trials"][0]["name"]
    assert (project.folder() / f"{first}.yaml").exists()
    assert (trainings[0]["config"], trainings[0]["overrides"]) == (
        "train",
        f"+sweeps/sweep={first}",
    )
    assert 100 < len(trainings) < 256  # as many as a dispatch may carry


def test_the_matrix_for_train_is_empty_without_files(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    assert project.sweep("--backend", "matrix", "--no-files", "--no-compose").code == 0
    assert json.loads((tmp_path / "out" / "train-matrix.json").read_text()) == {"include": []}


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    project = Project.make(tmp_path, GRID)
    (tmp_path / "configs" / "sweeps").write_text("a file where the folder should be")
    done = project.sweep()
    assert done.code == 2
    assert "cannot write" in done.said


def test_every_trial_of_the_example_composes(tmp_path: Path) -> None:
    """The example's own configs; composing needs none of its packages but Hydra."""
    shutil.copytree(ROOT / "examples" / "digits" / "configs", tmp_path / "configs")
    text = """\
program: scripts/train.py
metric: {name: val_accuracy, goal: maximize}
parameters:
  model: glob(*)
  training.max_lr: {values: [1e-3, 4e-3]}
  model.width: {values: [8, 24], when: {model: cnn}}
  model.depth: {values: [1, 2], when: {model: vit}}
  training.label_smoothing: choice(0.0, 0.1)
seeds: 2
"""
    (tmp_path / "configs" / "sweep.yaml").write_text(text)
    done = Project(tmp_path).sweep("--config-name", "digits_vit", "--compose-all")
    assert done.code == 0, done.said
    assert done.result["composed"]["files"] == done.result["counts"]["trials"] == 32
    assert done.result["warnings"] == []
