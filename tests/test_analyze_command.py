"""`analyze` against a real MLflow server, and against the database behind it."""

from __future__ import annotations

import io
import json
import math
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.analyze.command import analyse
from mlactions.analyze.model import Settings
from mlactions.bundle import open_bundle
from mlactions.comment.material import read_result
from mlactions.mlflow_store import open_store
from mlactions.runner import Runner
from tests.analyze_support import START, known_truth, write
from tests.fakes.loopback import Handler, Reply, Request
from tests.mlflow_support import Gatekeeper, Mlflow, free_port

HOSTILE = "a\nb | <img src=x onerror=alert(1)> `c` [d](http://evil.example) @octo ::error::x"
DAY = 86_400_000


@pytest.fixture(scope="module")
def search(mlflow_server: Mlflow) -> str:
    """Return an experiment of 300 runs, three of them odd, with one more that is gone."""
    name = "analyze-search"
    experiment = mlflow_server.experiment(name)
    write(mlflow_server.database, experiment, known_truth(3, 300))
    server = mlflow_server
    broken: dict[str, list[float | str]] = {
        "val_accuracy": [0.3, 0.5],
        "train_loss": [2.3, 4.0, "NaN"],
    }
    server.run(experiment, {"optim.lr": "9.0"}, metrics=broken, status="FAILED", name=HOSTILE)
    server.run(experiment, status="RUNNING", name="alive", start=START)
    tags = {"mlactions.sweep": "it's a sweep"}
    for number in range(12):
        metrics = {"val_accuracy": [0.1 * step for step in range(6)]}
        params = {"optim.lr": str(number / 7), "note": f"{HOSTILE} {number % 2}"}
        server.run(experiment, params, metrics=metrics, tags=tags, name=f"swept-{number}")
    gone = server.run(experiment, {"optim.lr": "1"}, metrics={"val_accuracy": [0.999]})
    server.call("runs/delete", {"run_id": gone})
    return name


def call(out: Path, *arguments: str, uri: str = "") -> tuple[int, dict[str, Any], str]:
    stream = io.StringIO()
    given = ["--metric", "val_accuracy", "--out", str(out), "--today", "2026-09-22", *arguments]
    where = ["--tracking-uri", uri] if uri else []
    code = run(["analyze", *where, *given], Runner({"COLUMNS": "120"}, stream))
    result = out / "result.json"
    return code, json.loads(result.read_text()) if result.exists() else {}, stream.getvalue()


@pytest.mark.parametrize("kind", ["http", "sqlite"])
def test_a_search_is_analysed(
    kind: str, mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    uri = mlflow_server.uri if kind == "http" else mlflow_server.database
    before = digest(mlflow_server)
    out = tmp_path / "out"
    sweep = "tags.`mlactions.sweep` = 'none'"
    code, result, said = call(out, "--experiment", search, uri=uri)
    assert (code, result["status"]) == (0, "warn"), said
    assert result["counts"]["all"] == 314, "the deleted run is not read"
    assert digest(mlflow_server) == before, "it only reads"
    assert {item["curve"]["shape"] for item in result["curves"]} >= {
        "plateau",
        "diverged",
    }
    failed = [item for item in result["curves"] if item["why"] == "failed"]
    assert {item["metric"] for item in failed} == {"val_accuracy", "train_loss"}
    assert [item["name"] for item in result["failed"]] == [HOSTILE]
    assert sweep not in said
    assert (out / "experiment_analysis.md").read_text() == (out / "report.md").read_text()
    assert [entry.path for entry in open_bundle(out, word="analyze").entries] == [
        "experiment_analysis.md",
        "facts.json",
        "report.html",
        "report.md",
        "result.json",
        "runs.jsonl",
    ]
    shown = read_result(out)
    assert shown.report.title == "Experiment analysis"
    assert len(shown.facts) > 20


def digest(server: Mlflow) -> list[tuple[Any, ...]]:
    """Return what a writer would have changed."""
    with sqlite3.connect(server.database.removeprefix("sqlite:///")) as database:
        tables = ("runs", "params", "metrics", "tags", "experiments")
        return [database.execute(f"SELECT count(*) FROM {name}").fetchone() for name in tables]  # noqa: S608  # ours


def test_both_ways_tell_the_same(mlflow_server: Mlflow, search: str) -> None:
    settings = Settings(search, "val_accuracy", "higher", day_ms=START + DAY)
    found = []
    for uri in (mlflow_server.uri, mlflow_server.database):
        with open_store(uri, {}) as store:
            result = analyse(store, settings, None)
            found.append({**result, "source": {}})
    assert found[0] == found[1]


def test_a_sweep_is_found_by_its_tag(mlflow_server: Mlflow, search: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--experiment", search, "--sweep", "it's a sweep"]
    code, result, said = call(out, *arguments, uri=mlflow_server.uri)
    assert code == 0, said
    assert result["counts"]["used"] == 12
    assert (out / "sweep_analysis.md").read_text().startswith("## ")
    assert "<img" not in (out / "report.html").read_text()
    tagged = "tags.`mlactions.sweep` != 'x'"
    _, by_filter, _ = call(
        tmp_path / "tag", "--experiment", search, "--filter", tagged, uri=mlflow_server.uri
    )
    assert by_filter["source"]["sweep"] == "it's a sweep"
    assert (tmp_path / "tag" / "sweep_analysis.md").exists()
    _, nothing, _ = call(
        tmp_path / "none", "--experiment", search, "--sweep", "x", uri=mlflow_server.uri
    )
    assert nothing["verdict"] == "No run matches: there is nothing to analyse."


def test_a_question_is_answered_as_facts(
    mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--experiment", search, "--filter", "metrics.val_accuracy > 0.82", "--top", "3"]
    code, result, said = call(out, *arguments, uri=mlflow_server.uri)
    assert code == 0, said
    assert len([item for item in result["configurations"] if item["mean"] <= 0.82]) == 0
    facts = {item["id"]: item for item in json.loads((out / "facts.json").read_text())["facts"]}
    best = result["configurations"][0]
    assert facts["analyze.best.1"]["value"] == best["mean"]
    assert best["runs"][0] in facts["analyze.best.1"]["text"]
    assert "analyze.best.4" not in facts


def test_the_next_analysis_says_what_changed(mlflow_server: Mlflow, tmp_path: Path) -> None:
    experiment = mlflow_server.experiment("analyze-again")
    write(mlflow_server.database, experiment, known_truth(9, 60, link="noisy"))
    arguments = ["--experiment", "analyze-again"]
    first, second, third = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    _, result, _ = call(first, *arguments, uri=mlflow_server.uri)
    assert result["changes"] is None
    _, result, said = call(second, *arguments, "--previous", str(first), uri=mlflow_server.uri)
    assert result["changes"] == []
    assert "No change since the last analysis" in said
    assert "What matters" not in said, "the rest is folded"
    params = {"optim.lr": "0.001", "model.dropout": "0.2"}
    best = mlflow_server.run(experiment, params, metrics={"val_accuracy": [0.97]})
    previous = str(second / "result.json")
    _, result, _ = call(third, *arguments, "--previous", previous, uri=mlflow_server.uri)
    told = [item["message"] for item in result["changes"]]
    assert "1 finished run more, now 61." in told
    assert any(best[:8] in message for message in told)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiment", "nowhere"], "nowhere"),
        (["--experiment", "analyze-serch"], "There are `analyze-search`"),
        (["--experiment", " "], "`experiment` is empty"),
        (["--experiment", "SEARCH", "--metric", ""], "`metric` is empty"),
        (["--experiment", "SEARCH", "--range", "1..0"], "`range`"),
        (["--experiment", "SEARCH", "--filter", "not a filter"], "filter"),
        (["--experiment", "SEARCH", "--require", "best > 1"], "`require`"),
        (["--experiment", "SEARCH", "--rename", "lr"], "`rename`"),
        (["--experiment", "SEARCH", "--price-per-hour", "cheap"], "`price-per-hour`"),
        (["--experiment", "SEARCH", "--price-per-hour", "nan"], "`price-per-hour`"),
        (["--experiment", "SEARCH", "--sweep", "a'b\""], "quotes"),
        (["--experiment", "SEARCH", "--previous", "/nowhere.json"], "/nowhere.json"),
    ],
)
def test_bad_input_is_named(
    arguments: list[str], words: str, mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    given = [search if part == "SEARCH" else part for part in arguments]
    code, result, said = call(tmp_path / "out", *given, uri=mlflow_server.uri)
    assert (code, result) == (2, {}), said
    assert words in said
    assert "Traceback" not in said


def test_an_analysis_before_that_cannot_be_read_stops_nothing(
    mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    old = tmp_path / "result.json"
    old.write_text('{"version": 1, "word": "analyze"}')
    given = ["--experiment", search, "--previous", str(old)]
    code, result, said = call(tmp_path / "out", *given, uri=mlflow_server.uri)
    assert (code, result["changes"]) == (0, None), said
    assert "could not be read, so nothing is compared with it" in said


def test_a_server_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    code, _, said = call(tmp_path, "--experiment", "x", uri="sqlite:////nowhere/mlflow.db")
    assert code == 2
    assert "Traceback" not in said
    code, _, said = call(tmp_path, "--experiment", "x")
    assert (code, "tracking-uri" in said) == (2, True)


def test_a_requirement_turns_the_check_red(
    mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    given = ["--experiment", search, "--require", "best >= 0.99"]
    code, result, said = call(tmp_path / "a", *given, uri=mlflow_server.uri)
    assert (code, result["status"]) == (1, "fail"), said
    warned = ["--experiment", search, "--fail-on", "warn"]
    assert call(tmp_path / "b", *warned, uri=mlflow_server.uri)[0] == 1


class Forgetful(Gatekeeper):
    """A server from which one run is deleted after it was listed."""

    gone = ""

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer as MLflow does for a run it does not have."""
        if self.gone and self.gone in handler.path:
            error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no run {self.gone}"}
            handler.send(Reply(404, error))
        else:
            super().respond(request, handler)


def test_a_run_deleted_while_it_is_read_loses_its_curve_only(
    mlflow_server: Mlflow, search: str
) -> None:
    settings = Settings(search, "val_accuracy", "higher", day_ms=START + DAY)
    with Forgetful(mlflow_server) as server, open_store(server.url, {}) as store:
        best = analyse(store, settings, None)["configurations"][0]["runs"][0]
        server.gone = best
        result = analyse(store, settings, None)
    assert best not in {item["run"] for item in result["curves"]}
    told = [item["message"] for item in result["findings"] if item["reason"] == "gone"]
    assert told == [f"Deleted before the learning curves were read: `{best[:8]}`."]
    assert result["configurations"][0]["runs"][0] == best
    assert all(math.isfinite(item["mean"]) for item in result["configurations"])


def test_no_server_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("mlactions.mlflow_store.connection.time.sleep", lambda _: None)
    code, _, said = call(tmp_path, "--experiment", "x", uri=uri)
    assert code == 2
    assert uri in said


def test_a_server_without_tls_is_told_from_one_that_is_down(
    mlflow_server: Mlflow, tmp_path: Path
) -> None:
    uri = mlflow_server.uri.replace("http:", "https:")
    code, _, said = call(tmp_path, "--experiment", "x", uri=uri)
    assert code == 2
    assert f"it speaks no TLS. Write `{mlflow_server.uri}`." in said


def test_a_metric_nobody_logged_names_those_that_are_there(
    mlflow_server: Mlflow, search: str, tmp_path: Path
) -> None:
    given = ["--experiment", search, "--metric", "train_lss"]
    code, result, said = call(tmp_path / "out", *given, uri=mlflow_server.uri)
    assert (code, result["status"]) == (1, "fail"), said
    (told,) = [item["message"] for item in result["findings"] if item["reason"] == "no-such-metric"]
    assert told.endswith("There are `train_loss` and `val_accuracy`.")
    assert "There are `train_loss`" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("kind", ["http", "sqlite"])
def test_values_of_secrets_are_written_nowhere(
    kind: str, mlflow_server: Mlflow, tmp_path: Path
) -> None:
    name = f"secrets-{kind}"
    number = mlflow_server.experiment(name)
    for seed, value in enumerate((0.5, 0.7, 0.9)):
        mlflow_server.run(
            number,
            {
                "db.password": f"CANARY-{seed}",
                "hf_token": f"CANARY-{seed}",
                "db": f"{{'api.key': 'CANARY-{seed}'}}",
                "private_key": "CANARY",
                "lr": str(seed),
            },
            metrics={"val_accuracy": [value]},
        )
    uri = mlflow_server.uri if kind == "http" else mlflow_server.database
    code, _, said = call(tmp_path / "out", "--experiment", name, uri=uri)
    assert code == 0, said
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {"result.json", "runs.jsonl", "facts.json"} <= {path.name for path in written}
    for path in written:
        assert b"CANARY" not in path.read_bytes(), path
    assert "CANARY" not in said
    assert "(hidden)" in (tmp_path / "out" / "runs.jsonl").read_text()
