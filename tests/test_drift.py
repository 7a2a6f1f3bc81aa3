"""`drift` through its command line, against a real MLflow server and the database behind it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.bundle import open_bundle
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.ask_cases import KEY, ask, codex_path
from tests.evaluate_support import Repository
from tests.fakes.loopback import Reply
from tests.fakes.model import FakeModel, runs, says
from tests.github_html import page
from tests.mlflow_support import TOOLS, Gatekeeper, Mlflow, free_port

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "digits"
WITH_HYDRA = ROOT / ".tools" / "example" / "bin" / "python"

PRODUCTION = """\
# What serves.
model:
  name: digits_cnn
  width: 32
optimizer:
  lr: 0.001
  betas: [0.9, 0.999]
data:
  path: data/train.csv
  digest: 5edc214a
threshold: 0.5
"""
LOGGED = {
    "model.name": "digits_cnn",
    "model.width": "32",
    "optimizer.lr": "1e-3",
    "optimizer.betas": "(0.9, 0.999)",
    "data.path": "./data/train.csv",
    "data.digest": "5edc214a",
    "threshold": "0.50",
}


@dataclass(frozen=True)
class Ran:
    """What a run of the command left behind."""

    code: int
    said: str
    out: Path

    @property
    def result(self) -> dict[str, Any]:
        """The result, after its schema was checked."""
        found: dict[str, Any] = json.loads((self.out / "result.json").read_text())
        validate(found, "drift-result", file="result.json")
        return found

    @property
    def states(self) -> dict[str, str]:
        """State and level of every row that is not the same."""
        return {
            row["name"]: f"{row['state']}/{row['level']}"
            for row in self.result["rows"]
            if row["state"] != "same"
        }


@dataclass(frozen=True)
class Project:
    """A repository with a production config, and an experiment of its own."""

    repository: Repository
    server: Mlflow
    experiment: str
    out: Path

    def run(self, *arguments: str, uri: str = "", **environ: str) -> Ran:
        """Run the command in the repository, as on GitHub."""
        given = ["--config", "configs/production.yaml", "--out", str(self.out)]
        given += ["--tracking-uri", uri or self.server.uri]
        if not any(argument.startswith("--deployed") for argument in arguments):
            given += ["--experiment", self.experiment]
        stream = io.StringIO()
        variables = {"PATH": os.environ["PATH"], "GITHUB_ACTIONS": "true", **environ}
        code = run(["drift", *given, *arguments], Runner(variables, stream))
        return Ran(code, stream.getvalue(), self.out)

    def deploy(self, params: dict[str, str] | None = None, **more: Any) -> str:
        """Log the run behind the deployed model."""
        tags = {"deployed": "true", "mlflow.source.git.commit": self.commit, **more.pop("tags", {})}
        return self.server.run(self.experiment, params or LOGGED, tags=tags, **more)

    @property
    def commit(self) -> str:
        """The commit that is checked out."""
        return self.repository.git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path, mlflow_server: Mlflow, monkeypatch: pytest.MonkeyPatch) -> Project:
    files = {"configs/production.yaml": PRODUCTION, "src/model.py": "WIDTH = 32\n"}
    repository = Repository.make(tmp_path / "repository", files)
    monkeypatch.chdir(repository.root)
    return Project(repository, mlflow_server, mlflow_server.experiment(), tmp_path / "out")


def test_no_drift(project: Project) -> None:
    run_id = project.deploy(metrics={"val_accuracy": [0.9, 0.97]})
    ran = project.run()
    assert ran.code == 0, ran.said
    assert ran.result["status"] == "pass"
    assert ran.result["verdict"] == (
        f"No drift: 7 settings and 1 commit are as in the deployed run {run_id[:8]}."
    )
    assert ran.states == {"packages": "unknown/notice"}
    assert open_bundle(ran.out, word="drift").json("facts.json", schema="facts")


def test_verbose_unfolds_the_report(project: Project) -> None:
    project.deploy({**LOGGED, "optimizer.lr": "0.01"})
    folded = project.run(GITHUB_ACTIONS="").said
    unfolded = project.run("--verbose", GITHUB_ACTIONS="").said
    assert "--verbose unfolds" in folded
    assert "--verbose unfolds" not in unfolded
    assert len(unfolded) > len(folded)


def test_drift_is_shown_beside_its_line(project: Project) -> None:
    run_id = project.deploy({**LOGGED, "optimizer.lr": "0.01", "model.width": "64"})
    ran = project.run()
    assert ran.code == 1
    assert ran.result["state"] == "compared"
    assert ran.result["verdict"] == (
        f"2 settings drifted from the deployed run {run_id[:8]}: model.width is 32, not 64;"
        " optimizer.lr is 0.001, not 0.01."
    )
    assert (
        "::error file=configs/production.yaml,line=6,title=drift::"
        "setting optimizer.lr is 0.001, the deployed run has 0.01. It was last changed in "
    ) in ran.said
    log = json.loads((ran.out / "drift.sarif").read_text())
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert [place["region"]["startLine"] for place in places] == [4, 6]
    assert {place["artifactLocation"]["uri"] for place in places} == {"configs/production.yaml"}
    facts = {fact["id"]: fact for fact in json.loads((ran.out / "facts.json").read_text())["facts"]}
    lr = facts["drift.parameter.optimizer.lr"]
    assert (lr["file"], lr["line"]) == ("configs/production.yaml", 6)
    assert (lr["data"]["here"], lr["data"]["deployed"]) == ("0.001", "0.01")


def test_files_are_named_from_the_repository_s_root(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project.deploy({**LOGGED, "optimizer.lr": "0.01"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ran = project.run("--working-directory", str(project.repository.root))
    assert ran.code == 1, ran.said
    assert "::error file=configs/production.yaml,line=6,title=drift::" in ran.said
    log = json.loads((ran.out / "drift.sarif").read_text())
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"configs/production.yaml"}


def test_a_commit_that_wrote_all_lines_is_named_once(project: Project) -> None:
    project.deploy({**LOGGED, "optimizer.lr": "0.01", "model.width": "64"})
    report = (project.run().out / "report.md").read_text()
    assert report.count(f"last changed in {project.commit[:8]}") == 1
    assert f"Both of these lines were last changed in {project.commit[:8]} on 20" in report


def test_folds_count_what_the_headline_counts(project: Project) -> None:
    project.deploy({name: text for name, text in LOGGED.items() if name != "threshold"})
    ran = project.run()
    assert ran.result["verdict"].endswith("1 setting could not be compared.")
    assert "1 setting and 1 package not compared" in (ran.out / "report.md").read_text()


def test_the_commit_that_wrote_a_line_is_named(project: Project) -> None:
    project.deploy()
    project.repository.write({"configs/production.yaml": PRODUCTION.replace("0.001", "0.1")})
    project.repository.git("add", "-A")
    project.repository.git("commit", "-q", "-m", "Try a <b>higher</b> rate\n\nIt is faster.")
    ran = project.run()
    (row,) = [row for row in ran.result["rows"] if row["state"] == "drift"]
    assert row["note"].startswith(f"last changed in {project.commit[:8]} on 20")
    assert row["note"].endswith(": Try a <b>higher</b> rate")
    assert "b" not in page((ran.out / "report.md").read_text()).tags
    project.repository.write({"configs/production.yaml": PRODUCTION.replace("0.001", "0.2")})
    (row,) = [row for row in project.run().result["rows"] if row["state"] == "drift"]
    assert row["note"] == "not committed yet"


def test_a_shallow_clone_credits_no_commit(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its oldest commit seems to have written every line."""
    project.repository.write({"other.txt": "x\n"})
    project.repository.git("add", "-A")
    project.repository.git("commit", "-q", "-m", "Touch another file")
    project.deploy({**LOGGED, "optimizer.lr": "0.01"})
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    source = f"file://{project.repository.root}"
    for folder, more in ((whole, ()), (shallow, ("--depth", "1"))):
        subprocess.run(["git", "clone", "-q", *more, source, str(folder)], check=True)
    notes = []
    for folder in (whole, shallow):
        monkeypatch.chdir(folder)
        (row,) = [row for row in project.run().result["rows"] if row["name"] == "optimizer.lr"]
        notes.append(row["note"])
    assert notes[0].startswith("last changed in ")
    assert notes[1] == ""


@pytest.mark.parametrize("kind", ["http", "sqlite"])
def test_both_ways_to_mlflow_say_the_same(project: Project, kind: str) -> None:
    run_id = project.deploy({**LOGGED, "threshold": "0.4"})
    project.server.artifact(run_id, "model/requirements.txt", "torch==2.13.0\n")
    project.server.version(f"model-{project.experiment}", run_id, alias="champion")
    project.repository.write({"requirements.txt": "torch==2.12.0\n"})
    uri = project.server.uri if kind == "http" else project.server.database
    ran = project.run(f"--deployed=alias:model-{project.experiment}@champion", uri=uri)
    assert ran.code == 1
    assert ran.states == {"threshold": "drift/fail", "torch": "drift/warn"}
    assert ran.result["deployed"]["version"] == "1"


def test_a_run_by_its_id_and_a_model_s_tag(project: Project) -> None:
    run_id = project.deploy()
    model = f"tagged-{project.experiment}"
    assert project.run(f"--deployed=run:{run_id}").code == 0
    project.server.version(model, project.server.run(project.experiment, {"other": "1"}))
    version = project.server.version(model, run_id)
    ran = project.run("--deployed=tag:deployed=true", "--model", model)
    assert (ran.code, ran.result["deployed"]["version"]) == (0, version), "the run has the tag"
    tag = {"name": model, "version": "1", "key": "deployed", "value": "True"}
    project.server.call("model-versions/set-tag", tag)
    ran = project.run("--deployed=tag:deployed=true", "--model", model)
    assert ran.result["deployed"]["version"] == "1", "a version's own tag comes first"
    assert ran.result["state"] == "nothing-compared"


def test_no_deployed_run_fails_by_its_name(project: Project) -> None:
    project.server.run(project.experiment, LOGGED, tags={"deployed": "truely"})
    project.server.run(project.experiment, LOGGED, tags={"other": "true"})
    ran = project.run()
    assert (ran.code, ran.result["status"], ran.result["state"]) == (1, "fail", "no-deployed-run")
    assert ran.result["verdict"].startswith("Drift is unknown: no run in the experiment")
    assert "title=no-deployed-run::" in ran.said
    hint = "Tag the deployed run so, or give deployed as run:ID or as an alias of its model."
    assert ran.result["verdict"].endswith(hint)


def test_a_tag_that_python_wrote_counts(project: Project) -> None:
    project.deploy(tags={"deployed": "True"})
    assert project.run().code == 0


def test_several_deployed_runs_fail_and_are_listed(project: Project) -> None:
    found = {project.deploy(name="first"), project.deploy(name="second | <b>\n")}
    ran = project.run()
    assert (ran.code, ran.result["state"]) == (1, "several-deployed-runs")
    assert {item["run_id"] for item in ran.result["candidates"]} == found
    report = (ran.out / "report.md").read_text()
    assert all(run_id in report for run_id in found)
    assert "b" not in page(report).tags


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        (("--deployed=alias:nobody@champion",), "no-deployed-run"),
        (("--deployed=run:" + "f" * 32,), "no-deployed-run"),
        (("--deployed=tag:deployed=true", "--model=nobody"), "no-deployed-run"),
    ],
)
def test_what_names_no_run_fails(project: Project, arguments: tuple[str, ...], state: str) -> None:
    ran = project.run(*arguments)
    assert (ran.code, ran.result["state"]) == (1, state)


def test_a_deleted_run_is_no_deployed_run(project: Project) -> None:
    run_id = project.deploy()
    project.server.version(f"gone-{project.experiment}", run_id, alias="champion")
    project.server.call("runs/delete", {"run_id": run_id})
    for deployed in (f"run:{run_id}", f"alias:gone-{project.experiment}@champion"):
        ran = project.run(f"--deployed={deployed}")
        assert (ran.code, ran.result["state"]) == (1, "no-deployed-run"), deployed


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (Reply(401, {"detail": "no"}), "unauthorized"),
        ("<html>", "not-mlflow"),
        (Reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "x"}), "no-experiment"),
    ],
)
def test_a_server_that_cannot_be_read_ends_with_2_and_a_report(
    project: Project, reply: Reply | str, state: str
) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = [reply] * 2
        ran = project.run("--experiment=digits", uri=gate.url)
    assert (ran.code, ran.result["status"], ran.result["state"]) == (2, "fail", state)
    assert ran.result["verdict"].startswith("Drift is unknown:")
    assert ran.result["rows"] == []
    log = json.loads((ran.out / "drift.sarif").read_text())
    assert [item["ruleId"] for item in log["runs"][0]["results"]] == ["drift/state"]


def test_a_dead_server_ends_with_2(project: Project) -> None:
    ran = project.run(uri=f"http://127.0.0.1:{free_port()}")
    assert (ran.code, ran.result["state"]) == (2, "unreachable")


def test_credentials_come_from_the_environment_and_show_nowhere(project: Project) -> None:
    project.deploy()
    with Gatekeeper(project.server, "Bearer s3cret-token") as gate:
        assert project.run(uri=gate.url).result["state"] == "unauthorized"
        ran = project.run(uri=gate.url, MLFLOW_TRACKING_TOKEN="s3cret-token")
    assert ran.code == 0
    written = "".join(path.read_text() for path in sorted(ran.out.iterdir()))
    assert "s3cret" not in written + ran.said


def test_code_that_changed_since_the_run(project: Project) -> None:
    project.deploy()
    project.repository.commit({"README.md": "words\n", "tests/test_model.py": "x = 1\n"})
    assert "commit" not in project.run().states, "no code changed"
    project.repository.commit({"src/model.py": "WIDTH = 64\n"})
    ran = project.run()
    assert (ran.code, ran.states["commit"]) == (0, "drift/warn")
    (row,) = [row for row in ran.result["rows"] if row["kind"] == "code"]
    assert row["details"] == ["src/model.py"]
    assert project.run("--fail-on=warn").code == 1


def test_code_that_is_not_committed_counts(project: Project) -> None:
    run_id = project.deploy()
    project.repository.write({"src/model.py": "WIDTH = 64\n", "src/new.py": "x = 1\n"})
    ran = project.run()
    (row,) = [row for row in ran.result["rows"] if row["kind"] == "code"]
    assert (row["state"], row["details"]) == ("drift", ["src/model.py"])
    assert row["note"] == "1 file changed (1 not committed) since"
    assert ran.result["status"] == "warn"
    assert run_id[:8] in ran.result["verdict"]


@pytest.mark.parametrize(
    ("commit", "note"),
    [
        ("", "the run logged no commit"),
        ("f" * 40, "fetch-depth: 0"),
        ("--help", "logged no commit"),
    ],
)
def test_a_commit_that_cannot_be_compared_is_unknown(
    project: Project, commit: str, note: str
) -> None:
    project.deploy(tags={"mlflow.source.git.commit": commit})
    (row,) = [row for row in project.run().result["rows"] if row["kind"] == "code"]
    assert (row["state"], row["level"]) == ("unknown", "notice")
    assert note in row["note"]


def test_packages_of_the_run_against_a_lock_file(project: Project) -> None:
    run_id = project.deploy()
    logged = "torch==2.13.0+cpu\nnumpy==2.0\nscipy>=1\npandas==2.2.0\n"
    project.server.artifact(run_id, "requirements.txt", logged)
    lock = 'version = 1\n[[package]]\nname = "torch"\nversion = "2.12.1"\n'
    lock += '[[package]]\nname = "numpy"\nversion = "2.0.0"\n'
    project.repository.write({"uv.lock": lock})
    assert project.run().states == {
        "torch": "drift/warn",
        "scipy": "unknown/notice",
        "pandas": "unknown/notice",
    }
    project.repository.write({"configs/drift.yaml": "version: 1\npackages: {torch: fail}\n"})
    ran = project.run()
    assert (ran.code, ran.states["torch"]) == (1, "drift/fail")


def test_data_by_the_hash_that_the_rules_name(project: Project) -> None:
    table = b"a,b\n1,2\n"
    sha256 = hashlib.sha256(table).hexdigest()
    run_id = project.deploy({**LOGGED, "data_sha256": sha256})
    project.server.dataset(run_id, "digits", "5edc214a")
    project.server.dataset(run_id, "extra", "12345678")
    rules = """\
        version: 1
        ignore: [data_sha256]
        data:
          input: {dataset: digits, key: data.digest}
          table: {logged: data_sha256, file: train.csv}
          moved: {logged: data_sha256, file: train.csv.dvc, severity: warn}
          never: {logged: nothing, key: data.digest}
        """
    project.repository.write({"configs/drift.yaml": rules, "train.csv": "a,b\n1,2\n"})
    project.repository.write({"train.csv.dvc": "outs:\n- md5: 00\n  path: train.csv\n"})
    ran = project.run()
    assert {name: state for name, state in ran.states.items() if name != "packages"} == {
        "data_sha256": "ignored/none",
        "moved": "drift/warn",
        "never": "unknown/warn",
        "extra": "unknown/notice",
    }
    (place,) = [(row["file"], row["line"]) for row in ran.result["rows"] if row["name"] == "moved"]
    assert place == ("configs/drift.yaml", 6)
    project.repository.write({"train.csv": "other\n"})
    assert project.run().states["table"] == "drift/fail"


def test_a_model_file_against_the_registry(project: Project) -> None:
    run_id = project.deploy()
    project.server.artifact(run_id, "model/data/model.pt", b"weights")
    project.server.version(f"file-{project.experiment}", run_id, alias="champion")
    project.repository.write({"serve/model.pt": "weights"})
    champion = f"--deployed=alias:file-{project.experiment}@champion"
    ran = project.run(champion, "--model-file=serve/model.pt")
    assert (ran.code, "serve/model.pt" in ran.states) == (0, False)
    project.repository.write({"serve/model.pt": "others"})
    ran = project.run(champion, "--model-file=serve/model.pt")
    assert (ran.code, ran.states["serve/model.pt"]) == (1, "drift/fail")
    project.repository.write({"serve/unregistered.pt": "weights"})
    ran = project.run(champion, "--model-file=serve/unregistered.pt")
    assert (ran.code, ran.states["serve/unregistered.pt"]) == (1, "unknown/fail")
    ran = project.run(
        champion, "--model-file=serve/unregistered.pt", "--model-artifact=data/model.pt"
    )
    assert ran.code == 0
    assert project.run(champion, "--model-file=absent.pt").code == 2


def test_a_trial_has_what_its_parent_logged(project: Project) -> None:
    parent = project.server.run(project.experiment, {**LOGGED, "optimizer.lr": "9"}, name="sweep")
    tags = {"deployed": "true", "mlflow.parentRunId": parent}
    project.server.run(project.experiment, {"optimizer.lr": "0.001"}, tags=tags, name="trial")
    assert project.run().code == 0


def test_rules_are_those_of_the_base(project: Project) -> None:
    project.deploy({**LOGGED, "threshold": "0.4"})
    project.repository.commit({"configs/drift.yaml": "version: 1\nseverity: {threshold: warn}\n"})
    base = project.commit
    project.repository.write({"configs/drift.yaml": "version: 1\nignore: [threshold]\n"})
    ran = project.run("--base-ref", base)
    assert (ran.code, ran.states["threshold"]) == (0, "drift/warn")
    assert "+ignore: [threshold]" in (ran.out / "report.md").read_text()
    first = project.repository.git("rev-list", "--max-parents=0", "HEAD")
    ran = project.run("--base-ref", first)
    assert (ran.code, ran.states["threshold"]) == (1, "drift/fail"), "the base had no rules"


def test_hostile_names_and_values_stay_text(project: Project) -> None:
    nasty = "<img src=x onerror=alert(1)>\n::error::x | `y` @everyone [z](http://evil.example)"
    project.deploy({**LOGGED, "only here": nasty, "threshold": nasty}, name=nasty)
    ran = project.run()
    assert ran.code == 1
    assert not [line for line in ran.said.splitlines() if line.startswith("::error::")]
    found = page((ran.out / "report.md").read_text())
    assert "img" not in found.tags
    assert not found.links
    assert not found.notifies()
    assert "<img" not in (ran.out / "report.html").read_text()


def test_ten_thousand_parameters(project: Project) -> None:
    document = {f"block{n}": {f"p{m}": n * m for m in range(100)} for n in range(100)}
    project.repository.write({"configs/production.yaml": json.dumps(document)})
    params = {f"block{n}.p{m}": str(n * m) for n in range(100) for m in range(100)}
    run_id = project.deploy({"block99.p99": "7"})
    del params["block99.p99"]
    with sqlite3.connect(project.server.database.removeprefix("sqlite:///")) as database:
        rows = [(key, value, run_id) for key, value in params.items()]
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)
    ran = project.run()
    assert ran.code == 1
    found = ran.result["rows"]
    assert [row["name"] for row in found if row["level"] == "fail"] == ["block99.p99"]
    assert len(found) == 10_002


HYDRA = {
    "configs/production.yaml": """\
        defaults:
          - model: cnn
          - optimizer: adamw
          - _self_
        run_name: ${model.name}-prod
        cache: ${oc.env:CACHE_FOLDER,/tmp}
        optimizer:
          lr: 0.001
        """,
    "configs/model/cnn.yaml": "name: digits_cnn\nwidth: 32\n",
    "configs/optimizer/adamw.yaml": "_target_: torch.optim.AdamW\nlr: 0.1\nweight_decay: 0.01\n",
}


def test_a_hydra_config_is_composed_and_its_lines_are_found(project: Project) -> None:
    project.repository.write(HYDRA)
    params = {
        "model.name": "digits_cnn",
        "model.width": "64",
        "optimizer._target_": "torch.optim.AdamW",
        "optimizer.lr": "0.01",
        "optimizer.weight_decay": "0.01",
        "run_name": "digits_cnn-prod",
        "cache": "/scratch",
        "trainer.epochs": "3",
    }
    project.deploy(params)
    python = str(WITH_HYDRA)
    ran = project.run("--python", python, "--overrides=+trainer.epochs=3")
    assert ran.code == 1, ran.said
    rows = {row["name"]: row for row in ran.result["rows"]}
    assert ran.result["config"]["composed"]
    width, lr = rows["model.width"], rows["optimizer.lr"]
    assert (width["state"], width["file"], width["line"]) == ("drift", "configs/model/cnn.yaml", 2)
    assert (lr["state"], lr["file"], lr["line"]) == ("drift", "configs/production.yaml", 8)
    assert rows["cache"]["state"] == "unknown"
    assert rows["run_name"]["state"] == rows["trainer.epochs"]["state"] == "same"
    assert rows["optimizer.weight_decay"]["file"] == "configs/optimizer/adamw.yaml"


def test_a_project_below_the_repository_has_a_python_of_its_own(project: Project) -> None:
    project.repository.write({f"ml/{name}": text for name, text in HYDRA.items()})
    python = project.repository.root / "ml/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{WITH_HYDRA}" "$@"\n')
    python.chmod(0o755)
    project.deploy({"model.width": "64"})
    ran = project.run("--working-directory=ml", "--python=.venv/bin/python")
    assert ran.code == 1, ran.said
    (row,) = [row for row in ran.result["rows"] if row["state"] == "drift"]
    assert (row["name"], row["file"]) == ("model.width", "ml/configs/model/cnn.yaml")


def test_a_real_training_run_of_the_example(
    mlflow_server: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained by torch, logged by MLflow's client, composed by Hydra: nothing here is ours."""
    command = ["git", "-C", str(EXAMPLE), "ls-files", "-z"]
    names = subprocess.check_output(command, text=True).split("\0")
    files = {name: (EXAMPLE / name).read_text() for name in names if name}
    repository = Repository.make(tmp_path / "digits", files)
    monkeypatch.chdir(repository.root)
    tracking = [f"tracking.uri={mlflow_server.uri}", "+tracking.tags.deployed=true"]
    arguments = ["--config-name", "smoke_test", *tracking, "training.epochs=2"]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    train = [str(WITH_HYDRA), "scripts/train.py", *arguments]
    subprocess.run(train, check=True, capture_output=True, env=environ)
    project = Project(repository, mlflow_server, "digits", tmp_path / "out")
    production = ("--config=configs/smoke_test.yaml", "--python", str(WITH_HYDRA))

    rules = "version: 1\nignore: [tracking, data_sha256]\n"
    repository.write({"configs/drift.yaml": rules})
    assert project.run(*production).states == {
        "training.epochs": "drift/fail",
        "packages": "unknown/notice",
        **dict.fromkeys(
            ("tracking.enabled", "tracking.uri", "tracking.experiment", "tracking.run_name"),
            "ignored/none",
        ),
        "tracking.tags": "ignored/none",
        "tracking.tags.deployed": "ignored/none",
        "data_sha256": "ignored/none",
    }
    ran = project.run(*production, "--overrides=training.epochs=2")
    assert (ran.code, ran.result["status"]) == (0, "pass"), ran.result["verdict"]


def test_what_only_the_environment_knows_is_unknown_through_other_keys(project: Project) -> None:
    project.repository.write(HYDRA)
    text = """\
        defaults: [_self_]
        scaled: ${oc.env:RATE}
        rate: ${scaled}
        db: {host: "${oc.env:DB_HOST}", name: prod}
        address: pg://${db.host}/x
        copy: ${db}
        here: ${hydra:runtime.cwd}
        when: ${now:%Y}
        name: ${db.name}-1
        """
    project.repository.write({"configs/production.yaml": text})
    project.deploy({"rate": "0.5", "address": "pg://db1/x", "copy.host": "db1", "name": "prod-1"})
    ran = project.run("--python", str(WITH_HYDRA), RATE="9", DB_HOST="hidden.host")
    rows = {row["name"]: row["state"] for row in ran.result["rows"] if row["kind"] == "parameter"}
    assert rows == {
        **dict.fromkeys(("scaled", "rate", "db.host", "address", "here", "when"), "unknown"),
        **dict.fromkeys(("copy.host", "copy.name", "db.name"), "unknown"),
        "name": "same",
    }
    assert "hidden.host" not in (ran.out / "result.json").read_text() + ran.said


def test_an_override_is_no_line_of_a_file(project: Project) -> None:
    project.repository.write(HYDRA)
    project.deploy({"optimizer.lr": "0.01", "model.width": "64", "trainer.epochs": "3"})
    given = ("--overrides", "optimizer.lr=0.2", "--overrides", "+trainer={epochs: 4}")
    ran = project.run("--python", str(WITH_HYDRA), *given)
    rows = {row["name"]: row for row in ran.result["rows"]}
    for name in ("optimizer.lr", "trainer.epochs"):
        assert (rows[name]["file"], rows[name]["note"]) == (None, "from --overrides")
    assert rows["model.width"]["file"] == "configs/model/cnn.yaml"
    assert "optimizer.lr is 0.2, the deployed run has 0.01 (from --overrides)." in ran.said


def test_the_project_s_python_is_started_without_credentials(project: Project) -> None:
    project.repository.write(HYDRA)
    project.deploy()
    seen = project.out.parent / "environment"
    python = project.out.parent / "python"
    python.write_text(f'#!/bin/sh\nenv >"{seen}"\nexec "{WITH_HYDRA}" "$@"\n')
    python.chmod(0o755)
    secrets = (
        *("MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "OPENAI_API_KEY"),
        *("CODEX_API_KEY", "DATABRICKS_TOKEN", "DB_PASSWORD", "SLACK_TOKEN"),
    )
    project.run("--python", str(python), **dict.fromkeys(secrets, "CANARY"), DB_HOST="db1")
    assert "DB_HOST=db1" in seen.read_text()
    assert "CANARY" not in seen.read_text()


def test_hydra_gets_no_credentials(project: Project) -> None:
    project.repository.write(HYDRA)
    project.repository.write(
        {"configs/model/cnn.yaml": "name: x\nwidth: ${oc.decode:${oc.env:MLFLOW_TRACKING_TOKEN}}\n"}
    )
    project.deploy({"model.name": "x", "model.width": "hunter2"})
    ran = project.run("--python", str(WITH_HYDRA), MLFLOW_TRACKING_TOKEN="hunter2")
    (width,) = [row for row in ran.result["rows"] if row["name"] == "model.width"]
    assert width["state"] == "unknown"
    assert "hunter2" not in width["current"]


@pytest.mark.parametrize(
    ("files", "python", "message"),
    [
        ({}, str(TOOLS / "python"), "has no 'hydra'"),
        ({}, "no-such-python", "cannot be run"),
        ({"configs/model/cnn.yaml": "a: [\n"}, str(WITH_HYDRA), "Hydra cannot compose it"),
        (
            {"configs/production.yaml": "defaults: [model: vit]\n"},
            str(WITH_HYDRA),
            "Could not find 'model/vit'",
        ),
    ],
)
def test_a_config_that_cannot_be_composed(
    project: Project, files: dict[str, str], python: str, message: str
) -> None:
    project.repository.write({**HYDRA, **files})
    ran = project.run("--python", python)
    assert ran.code == 2
    assert message in ran.said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config=absent.yaml",), "no such file"),
        (("--deployed=nonsense",), "alias:NAME@champion"),
        (("--deployed=tag:deployed=true",), "neither `experiment` nor `model`"),
        (("--rules=absent.yaml",), "no such rules"),
        (("--base-ref=absent",), "there is no such commit in this clone"),
        (("--requirements=absent.txt",), "no such file"),
        (("--key=No",), "lower-case"),
        (("--tracking-uri= ",), "`tracking-uri` is missing"),
    ],
)
def test_bad_input(project: Project, arguments: tuple[str, ...], message: str) -> None:
    run_id = project.deploy()
    project.server.artifact(run_id, "requirements.txt", "torch==2.13.0\n")
    ran = project.run(*arguments)
    assert ran.code == 2
    assert message in ran.said


def test_an_earlier_result_is_replaced_and_a_foreign_folder_refused(project: Project) -> None:
    project.deploy()
    assert project.run().code == 0
    assert project.run(uri=f"http://127.0.0.1:{free_port()}").result["state"] == "unreachable"
    (project.out / "mine.txt").write_text("keep me")
    assert project.run().code == 2
    assert (project.out / "mine.txt").exists()


def test_the_same_again_is_the_same_bytes(project: Project) -> None:
    project.deploy({**LOGGED, "threshold": "0.4"})
    first = {path.name: path.read_bytes() for path in project.run().out.iterdir()}
    second = {path.name: path.read_bytes() for path in project.run().out.iterdir()}
    assert first == second


def test_codex_explains_and_what_it_invents_is_struck(project: Project, tmp_path: Path) -> None:
    """The real Codex CLI with a scripted model: one claim about a fact, one about none."""
    project.deploy({**LOGGED, "model.width": "64"})
    ran = project.run()
    claim = {"model": "", "metric": "", "file": "src/model.py", "line": 1, "confidence": "high"}
    held = {**claim, "facts": ["drift.parameter.model.width"], "explanation": "The width is 32."}
    invented = {**claim, "facts": ["drift.parameter.dropout"], "explanation": "Dropout is off."}
    answer = {"summary": "The width differs.", "findings": [held, invented], "next_steps": []}
    with FakeModel(runs("cat facts.json"), says(answer), key=KEY) as model:
        given = ["--bundle", str(ran.out), "--repository", ".", "--out", str(tmp_path / "answer")]
        asked = ask(
            tmp_path / "step",
            "run",
            *given,
            f"--responses-api-endpoint={model.endpoint}",
            PATH=codex_path(),
            HOME=str(tmp_path),
            CODEX_API_KEY=KEY,
            GITHUB_ACTIONS="",
        )
    assert asked.code == 0, asked.said
    checked = json.loads((tmp_path / "answer" / "checked-answer.json").read_text())
    assert checked["status"] == "answered"
    assert checked["claims"] == {"checked": 5, "held": 4}
    report = (tmp_path / "answer" / "report.md").read_text()
    assert "64 in the deployed run" in report
    assert "~~Dropout is off.~~" in report


def test_asking_without_codex_leaves_the_verdict(project: Project) -> None:
    project.deploy({**LOGGED, "model.width": "64"})
    ran = project.run("--ask", PATH="/usr/bin:/bin", GITHUB_ACTIONS="")
    assert (ran.code, ran.result["status"]) == (1, "fail")
    assert (ran.out / "answer" / "checked-answer.json").exists()
    assert project.run().code == 1, "its folder is an earlier run's"


def test_the_launcher_reads_a_server_without_mlflow_s_client(
    project: Project, tmp_path: Path
) -> None:
    """One run as users start it, on the environment that the launcher makes."""
    project.deploy()
    environ = {key: os.environ[key] for key in os.environ if not key.startswith("MLFLOW")}
    arguments = ["--config", "configs/production.yaml", "--experiment", project.experiment]
    done = subprocess.run(
        [ROOT / "scripts/run", "drift", *arguments, "--out", tmp_path / "launched"],
        env={**environ, "MLFLOW_TRACKING_URI": project.server.uri},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No drift" in done.stderr
