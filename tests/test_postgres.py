"""Postgres behind an MLflow server: what is read over HTTP is the same as over SQLite."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlactions.__main__ import run
from mlactions.analyze.command import analyse
from mlactions.analyze.model import Settings
from mlactions.mlflow_store import StoreError, open_store
from mlactions.runner import Runner
from tests.analyze_support import START, known_truth
from tests.mlflow_support import Mlflow, running
from tests.postgres_support import missing, postgres

HOSTILE = "a\nb | <img src=x> `c` 'd' \"e\" %s \\ \u00e9\u4e2d\U0001f600"
DAY = 86_400_000

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "Postgres is installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """Run MLflow over a Postgres of its own."""
    with postgres() as uri, running(tmp_path_factory.mktemp("mlflow-postgres"), uri) as found:
        yield found


def fill(server: Mlflow, name: str) -> str:
    """Log a small search with everything that stores keep differently; return the experiment."""
    experiment = server.experiment(name)
    for item in known_truth(4, 30):
        few = {metric: values[::10] for metric, values in item.metrics.items()}
        server.run(experiment, item.params, metrics=few, name=item.name, start=item.start)
    tags = {"mlactions.sweep": "it's one", "deployed": "true"}
    broken: dict[str, list[float | str]] = {"val_accuracy": [0.3, 0.2], "train_loss": [2.0, "NaN"]}
    server.run(experiment, {"optim.lr": "9"}, metrics=broken, status="FAILED", start=START - 1)
    endless: dict[str, list[float | str]] = {"val_accuracy": ["Infinity"]}
    server.run(experiment, {"optim.lr": "8"}, metrics=endless, start=START - 2)
    swept = {"optim.lr": "0.01", "note": HOSTILE, "long": "x" * 6000, "optim.name": "None"}
    server.run(
        experiment, swept, metrics={"val_accuracy": [0.5]}, tags=tags, name=HOSTILE, start=START - 3
    )
    gone = server.run(experiment, {"optim.lr": "7"}, metrics={"val_accuracy": [0.99]})
    server.call("runs/delete", {"run_id": gone})
    return experiment


def without_ids(value: Any) -> Any:
    """Return a result without what each store makes up itself: ids."""
    if isinstance(value, dict):
        own = ("id", "run", "runs", "source", "digest", "experiment_id", "verdict")
        return {key: without_ids(item) for key, item in value.items() if key not in own}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def analysed(server: Mlflow, name: str) -> dict[str, Any]:
    settings = Settings(name, "val_accuracy", "higher", day_ms=START + DAY)
    with open_store(server.uri, {}) as store:
        return analyse(store, settings, None)


def test_an_analysis_over_postgres_is_the_one_over_sqlite(
    server: Mlflow, mlflow_server: Mlflow
) -> None:
    for one in (server, mlflow_server):
        fill(one, "postgres")
    found = analysed(server, "postgres")
    assert found["counts"]["used"] == 31
    assert found["counts"]["not_finite"] == 1
    assert found["counts"]["failed"] == 1
    assert {item["curve"]["shape"] for item in found["curves"]} >= {"diverged"}
    assert without_ids(found) == without_ids(analysed(mlflow_server, "postgres"))


def test_every_part_of_the_store_reads_from_postgres(server: Mlflow) -> None:
    experiment = fill(server, "postgres-store")
    with open_store(server.uri, {}) as store:
        (swept,) = store.runs([experiment], 'tags.`mlactions.sweep` = "it\'s one"')
        assert (swept.name, swept.params["note"]) == (HOSTILE, HOSTILE)
        assert len(swept.params["long"]) == 6000
        (failed,) = store.runs([experiment], "attributes.status = 'FAILED'")
        assert math.isnan(store.history(failed.id, "train_loss")[-1].value)
        ordered = store.runs([experiment], order=("metrics.val_accuracy DESC",), limit=3)
        assert len(list(ordered)) == 3
        with pytest.raises(StoreError) as caught:
            store.experiment("postgres-stor")
        assert "`postgres-store`" in caught.value.hint
        with pytest.raises(StoreError) as caught:
            store.run("0" * 32)
        assert caught.value.state == "no-run"


def test_drift_is_told_from_postgres(
    server: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(server, "postgres-drift")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "production.yaml").write_text("optim:\n  lr: 0.02\n  name: null\n")
    stream = io.StringIO()
    given = ["--config", "production.yaml", "--experiment", "postgres-drift"]
    where = ["--tracking-uri", server.uri, "--out", str(tmp_path / "out")]
    code = run(["drift", *given, *where], Runner({}, stream))
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (code, result["status"]) == (1, "fail"), stream.getvalue()
    assert [row["name"] for row in result["rows"] if row["state"] == "drift"] == ["optim.lr"]


def test_postgres_itself_needs_a_driver_and_says_so(server: Mlflow, tmp_path: Path) -> None:
    stream = io.StringIO()
    given = ["--experiment", "x", "--metric", "y", "--out", str(tmp_path / "out")]
    code = run(["analyze", *given, "--tracking-uri", server.database], Runner({}, stream))
    assert code == 2
    assert "needs the package 'psycopg2'" in stream.getvalue()
    assert "Name an MLflow server instead" in stream.getvalue()
