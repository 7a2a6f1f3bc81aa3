"""A search space that Codex proposes is read as a user's, and held to the configs and budget."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlactions.ask import proposal as hook
from mlactions.ask.repository import Repository, open_repository
from mlactions.markdown import render
from mlactions.report import Report
from mlactions.settings import Status
from tests.sweep_support import Project

ROOT = Path(__file__).resolve().parents[1]
CURRENT = """\
program: train.py
description: which learning rate
parameters:
  training.max_lr: {values: [0.1, 0.2]}
budget: {trials: 10, gpu_hours: 5, hours_per_trial: 1}
"""
BETTER = """\
parameters:
  training.max_lr: {values: [0.05, 0.1]}
  model: {values: [cnn, vit]}
  model.depth: {value: 4, when: {model: vit}}
"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    found = Project.make(folder, CURRENT)
    person = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (folder / ".gitignore").write_text("out/\n")
    for words in (["init", "-q"], ["add", "-A"], [*person, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    assert found.sweep().code == 0
    return folder


@pytest.fixture
def project(generated: Path, tmp_path: Path) -> Project:
    return Project(shutil.copytree(generated, tmp_path, dirs_exist_ok=True))


def reason(**changes: Any) -> dict[str, Any]:
    known = {
        "parameter": "model",
        "reason": "It was never tried.",
        "fact": "",
        "file": "",
        "line": 0,
    }
    return known | changes


def checked(project: Project, sweep: str, *reasons: dict[str, Any]) -> hook.CheckedProposal:
    repository: Repository = open_repository(project.root)
    return hook.check(
        "sweep",
        {"sweep": sweep, "reasons": list(reasons)},
        facts={"sweep.trials": {}},
        repository=repository,
        bundle=project.root / "out",
    )


def shown(found: hook.CheckedProposal) -> str:
    blocks = hook.render(hook.as_document("sweep", found))
    return render(Report("Answer", Status.PASS, "It answered.", blocks))


def test_a_space_that_holds_is_offered_with_its_difference(project: Project) -> None:
    held = reason(fact="sweep.trials", file="configs/model/vit.yaml", line=3)
    found = checked(project, BETTER, held, reason(parameter="training.max_lr"))
    kept = (
        "# As in the current file.\nbudget:\n  gpu_hours: 5\n  hours_per_trial: 1\n  trials: 10\n"
    )
    assert found.files == {"suggested-sweep.yaml": f"{BETTER}{kept}program: train.py\n"}
    assert (found.checked, found.held, found.document["note"]) == (3, 3, "")
    assert "+  training.max_lr: {values: [0.05, 0.1]}" in found.document["diff"]
    text = shown(found)
    assert "It was never tried" in text
    assert "sweep.trials" in text


def one(parameters: str, more: str = "") -> str:
    return f"parameters: {{{parameters}}}\n{more}"


USERS = "which is the user's to say"
LR = "training.max_lr: {values: [0.1]}"
BAD = {
    "no space": ("", "no search space was proposed"),
    "no yaml": ("parameters: [", "not valid YAML"),
    "an unknown method": (BETTER + "method: magic\n", "line 5: not a valid sweep"),
    "an unknown parameter": (
        one("training.max_rl: {values: [1]}"),
        "Did you mean `training.max_lr`",
    ),
    "an unknown option": (one("model: {values: [resnet, cnn]}"), "has no option 'resnet'"),
    "a glob without options": (one("model: {hydra: glob(zzz*)}"), "the glob matches no option"),
    "another kind": (
        one("training.max_lr: {values: [[1, 2], 0.1]}"),
        "0.1 in the config, [1,2] here",
    ),
    "floats among integers": (
        one("training.epochs: {values: [2, 1.5]}"),
        "`training.epochs` is 2 in the config, the float 1.5 here",
    ),
    "a name that is a path": (BETTER + "name: ../../x\n", "its `name` is '../../x'"),
    "a name of signs": (BETTER + "name: '---'\n", "its `name` is '---'"),
    "a name that is too long": (BETTER + f"name: {'x' * 101}\n", "at most 100"),
    "min above max": (
        one("training.max_lr: {min: 2, max: 1}", "method: random\nrun_cap: 3\n"),
        "the smaller one",
    ),
    "a seed that is nowhere": (
        one(LR, "seed_parameter: nosuch.seed\nseeds: [1]\n"),
        "no `nosuch.seed`, which `seeds` need",
    ),
    "a command": (BETTER + "program: evil.py\n", f"`program`, {USERS}"),
    "more GPUs": (BETTER + "resources: {gpus: 64}\n", f"`resources`, {USERS}"),
    "more retries": (BETTER + "retry: 100\n", f"`retry`, {USERS}"),
    "other code": (BETTER + "reuse_across_commits: true\n", f"`reuse_across_commits`, {USERS}"),
    "cheaper trials": (
        BETTER + "budget: {gpu_hours: 5000, hours_per_trial: 0.0001}\n",
        f"`budget`, {USERS}",
    ),
    "too many trials": (
        "parameters:\n  training.epochs: range(1, 40)\n",
        "39 trials are left to run, and the budget is 10",
    ),
    "a higher budget": (BETTER + "budget: {trials: 99}\n", f"`budget`, {USERS}"),
    "too many hours": ("parameters:\n  training.epochs: range(1, 8)\n", "7.0 GPU hours"),
    "a secret": (one("note: {values: ['${oc.env:AWS_SECRET_ACCESS_KEY}']}"), "an interpolation"),
    "a secret inside": (one("training.names: {values: [[a, '${oc.env:A}']]}"), "an interpolation"),
    "a call": (one("'+training.callback._target_': {values: [os.system]}"), "what is to be called"),
    "a call inside": (
        one("'+training.x': {values: [{_target_: os.system}]}"),
        "what is to be called",
    ),
    "Hydra's own": (one("'+hydra.callbacks.a.b': {values: [1]}"), "Hydra's own settings"),
    "a package of Hydra's": (one("'+model@hydra.a': {values: [cnn]}"), "Hydra's own settings"),
    "hidden text": (BETTER + "description: a\u202eb\n", "hide or reorder text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_space_that_does_not_hold_is_shown_and_not_offered(project: Project, name: str) -> None:
    text, message = BAD[name]
    found = checked(project, text)
    assert found.files == {}
    assert found.held == 0
    assert any(message in told for told in found.document["struck"]), found.document["struck"]
    assert "Not offered" in shown(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"parameter": "optimizer"},
        {"fact": "sweep.invented"},
        {"file": "../secret"},
        {"file": "configs/model/vit.yaml", "line": 99},
        {"file": "none.py", "line": 1},
    ],
)
def test_a_reason_that_rests_on_nothing_is_struck(
    project: Project, changes: dict[str, Any]
) -> None:
    found = checked(project, BETTER, reason(**changes))
    assert (found.checked, found.held) == (2, 1)
    assert found.document["reasons"][0]["struck"]
    assert "~~It was never tried.~~" in shown(found)


def test_new_keys_and_packages_are_known(project: Project) -> None:
    text = "parameters:\n  '+training.extra': {value: 1}\n  training.names: {value: [c]}\n"
    assert checked(project, text).document["struck"] == []


def test_the_same_own_keys_may_be_there_also_in_one_line(project: Project) -> None:
    budget = "budget: {trials: 10, gpu_hours: 5, hours_per_trial: 1}"
    found = checked(project, "{" + f"parameters: {{{LR}}}, {budget}" + "}")
    assert found.document["struck"] == []
    assert "program: train.py" in found.files["suggested-sweep.yaml"]


def test_a_metric_is_the_same_with_its_default_spelt_out(project: Project) -> None:
    text = CURRENT + "metric: {name: loss}\n"
    (project.root / "configs" / "sweep.yaml").write_text(text)
    assert project.sweep("--replace", "--no-compose").code == 0
    same = one(LR, "metric: {name: loss, goal: minimize}\n")
    assert checked(project, same).document["struck"] == []
    other = one(LR, "metric: {name: loss, goal: maximize}\n")
    assert checked(project, other).document["struck"] == [f"it sets `metric`, {USERS}"]


def without_budget(project: Project, more: str = "") -> Project:
    text = CURRENT.replace("budget: {trials: 10, gpu_hours: 5, hours_per_trial: 1}\n", more)
    (project.root / "configs" / "sweep.yaml").write_text(text)
    assert project.sweep("--replace").code == 0
    return project


def test_the_users_name_and_plain_words_may_be_a_name(project: Project) -> None:
    for name in ("lr-2", "learning rate v1.2"):
        assert checked(project, f"{BETTER}name: {name}\n").document["struck"] == []
    ours = f"{CURRENT}name: größe/1\n"
    (project.root / "configs" / "sweep.yaml").write_text(ours)
    assert project.sweep("--replace").code == 0
    assert checked(project, f"{BETTER}name: größe/1\n").document["struck"] == []


RANDOM = "method: random\nrun_cap: 5000\nparameters:\n  training.max_lr: {min: 0.01, max: 0.1}\n"
TPE = "method: tpe\nmetric: {name: a}\nparameters:\n  training.max_lr: {min: 0.01, max: 0.1}\n"
PRICED = "budget: {hours_per_trial: 0.5, price_per_gpu_hour: 2}\n"
NO_LIMIT = "No budget limits it."
TAKES = {
    "no budget": ("", RANDOM, f"It would be 5,000 trials; their hours are not known. {NO_LIMIT}"),
    "assumptions alone": (
        PRICED,
        RANDOM + "seeds: 2\n",
        (
            "It would be 5,000 trials, 2,500 GPU hours (0.5 h × 1 GPU each, by `hours_per_trial`),"
            f" 5,000.00 USD. {NO_LIMIT}"
        ),
    ),
    "the time limit": (
        "resources: {hours: 2, gpus: 4}\n",
        BETTER,
        (
            "It would be at most 4 trials, 32 GPU hours"
            f" (2 h × 4 GPU each, by the time limit of a trial). {NO_LIMIT}"
        ),
    ),
    "no end": (
        "",
        TPE,
        (
            "It would be 10 trials to begin with, and more as often as `sweep next` is asked;"
            f" their hours are not known. {NO_LIMIT}"
        ),
    ),
    "a budget": (
        "budget: {trials: 9}\n",
        BETTER,
        "It would be at most 4 trials; their hours are not known.",
    ),
}


@pytest.mark.parametrize("name", TAKES)
def test_an_offer_says_what_it_would_take(project: Project, name: str) -> None:
    more, text, takes = TAKES[name]
    found = checked(without_budget(project, more), text)
    assert (found.document["struck"], found.document["takes"]) == ([], takes)
    assert takes.replace("`", "") in shown(found).replace("`", "")


BY_CODE = {
    "floats for an integer": (
        one("training.epochs: {values: [2, 1.5]}"),
        "`training.epochs` is 2 in the config, the float 1.5 here",
    ),
    "a name": (one(LR), ""),
    "an unknown name": (one("training.max_rl: {values: [1]}"), "no `training.max_rl`"),
    "an unknown option": (one("model: {values: [resnet]}"), "has no option 'resnet'"),
    "an unknown seed": (one(LR, "seeds: 2\nseed_parameter: nosuch\n"), "no `nosuch`"),
}


@pytest.mark.parametrize("name", BY_CODE)
def test_what_our_python_cannot_compose_is_held_to_the_files(project: Project, name: str) -> None:
    config = project.root / "configs" / "train.yaml"
    config.write_text(config.read_text().replace("defaults:", "defaults:\n  - of_the_code", 1))
    text, message = BY_CODE[name]
    found = checked(project, text)
    assert message in " ".join(found.document["struck"])
    assert bool(message) == bool(found.document["struck"])
    assert found.document["note"].startswith("not composed, because")
    assert ("not composed" in shown(found)) == (not message)


def test_nothing_of_the_repository_runs_while_a_proposal_is_checked(project: Project) -> None:
    for path in ("hydra_plugins/evil.py", "yaml.py", "configs/hydra_plugins/evil.py"):
        (project.root / path).parent.mkdir(exist_ok=True)
        (project.root / path).write_text("raise SystemExit(9)\n")
    found = checked(project, BETTER).document
    assert (found["struck"], found["note"]) == ([], "")  # it was composed


LIGHT = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules.update(dict.fromkeys(("numpy", "optuna", "scipy")))  # importing one is an error
import mlactions.sweep.proposal
from mlactions.sweep.space import parse_space
from mlactions.sweep.trials import size
for method in ("grid", "random", "sobol", "tpe"):
    text = f"method: {method}\\nmetric: {{name: loss, goal: minimize}}\\nrun_cap: 3\\n"
    text += "parameters:\\n  a: choice(1,2)\\n  b: {values: [1, 2], when: {a: 1}}\\n"
    if method != "grid":
        text += "  c: tag(log, interval(0.001, 1))\\n  d: {min: 1, max: 9}\\n"
    print(method, size(parse_space(text, file="sweep.yaml")))
"""


def test_hydra_alone_is_enough_to_read_a_space() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(ROOT / "scripts")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["grid", "3", "random", "3", "sobol", "3", "tpe", "3"]
