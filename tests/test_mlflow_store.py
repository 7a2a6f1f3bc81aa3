"""The store against a real MLflow server and the database behind it: both tell the same."""

from __future__ import annotations

import hashlib
import io
import json
import math
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from mlactions.__main__ import run
from mlactions.codex_home.request import holds_password
from mlactions.errors import UserError
from mlactions.mlflow_store import Dataset, Point, Run, Store, StoreError, caution, open_store
from mlactions.mlflow_store import connection as connection_module
from mlactions.mlflow_store.opening import shown
from mlactions.mlflow_store.rest import RestStore
from mlactions.retries import Patience
from mlactions.runner import Runner
from tests.fakes.loopback import Handler, Reply, Request
from tests.mlflow_support import Gatekeeper, Mlflow, free_port

MANY = 2_345
HOSTILE = (
    "line one\nline two\r\n<script>alert(1)</script> | `x` ](http://evil.example) \u202e ::error::"
)

Ask = Callable[[Store], Any]


@pytest.fixture(params=["http", "sqlite"])
def store(request: pytest.FixtureRequest, mlflow_server: Mlflow) -> Iterator[Store]:
    uri = mlflow_server.uri if request.param == "http" else mlflow_server.database
    with open_store(uri, {}) as opened:
        yield opened


@pytest.fixture(scope="module")
def experiment(mlflow_server: Mlflow) -> str:
    return mlflow_server.experiment("store-digits")


@pytest.fixture(scope="module")
def parent(mlflow_server: Mlflow, experiment: str) -> str:
    server = mlflow_server
    run = server.run(
        experiment,
        {"lr": "0.001", "note": HOSTILE, "long": "é" * 6000, "empty": ""},
        metrics={"loss": [1.0, 0.5, "NaN"], "gain": ["Infinity"], "cost": ["-Infinity"]},
        tags={"deployed": "true", 'it\'s "odd"': HOSTILE, "mlflow.source.git.commit": "a" * 40},
        name=HOSTILE,
    )
    server.dataset(run, "digits", "5edc214a")
    server.artifact(run, "model/requirements.txt", "torch==2.13.0\n")
    server.artifact(run, "model/data/weights.bin", b"\x00\xff" * 1000)
    server.artifact(run, "requirements.txt", "numpy==2.0\n")
    server.run(experiment, tags={"mlflow.parentRunId": run}, name="child", status="FAILED")
    server.run(experiment, name="alive", status="RUNNING")
    server.run(experiment, name="killed", status="KILLED")
    gone = server.run(experiment, {"lr": "9"}, name="gone")
    server.call("runs/delete", {"run_id": gone})
    return run


@pytest.fixture(scope="module")
def many(mlflow_server: Mlflow) -> str:
    """Write runs around the server: logging them one by one would take a minute."""
    experiment = mlflow_server.experiment("store-many")
    with sqlite3.connect(mlflow_server.database.removeprefix("sqlite:///")) as database:
        rows = [
            (f"{number:032x}", "ACTIVE".lower(), "FINISHED", number, number + 1, experiment)
            for number in range(MANY)
        ]
        database.executemany(
            "INSERT INTO runs (run_uuid, lifecycle_stage, status, start_time, end_time,"
            " experiment_id, artifact_uri, name, source_type, source_name, user_id)"
            " VALUES (?, ?, ?, ?, ?, ?, '', 'many', 'LOCAL', '', '')",
            rows,
        )
        params = [(str(number), "seed", f"{number:032x}") for number in range(MANY)]
        database.executemany("INSERT INTO params (value, key, run_uuid) VALUES (?, ?, ?)", params)
    return experiment


def by_name(store: Store, experiment: str) -> dict[str, Run]:
    return {run.name: run for run in store.runs([experiment])}


def state_of(ask: Callable[[], Any]) -> str:
    with pytest.raises(StoreError) as raised:
        ask()
    assert raised.value.message.endswith(".")
    return raised.value.state


def test_an_experiment_is_found_by_name_and_by_id(
    store: Store, mlflow_server: Mlflow, experiment: str
) -> None:
    found = store.experiment("store-digits")
    assert (found.id, found.name, found.lifecycle) == (experiment, "store-digits", "active")
    assert store.experiment(experiment) == found
    digits = mlflow_server.experiment(f"{10**9}{store.uri[0] == 'h':d}")
    assert store.experiment(f"{10**9}{store.uri[0] == 'h':d}").id == digits, "a name wins"


def test_a_run_arrives_as_it_was_logged(store: Store, parent: str, experiment: str) -> None:
    run = store.run(parent)
    assert (run.name, run.status, run.experiment_id) == (HOSTILE, "FINISHED", experiment)
    assert run.params == {"lr": "0.001", "note": HOSTILE, "long": "é" * 6000, "empty": ""}
    assert math.isnan(run.metrics["loss"])
    assert (run.metrics["gain"], run.metrics["cost"]) == (math.inf, -math.inf)
    assert run.tags['it\'s "odd"'] == HOSTILE
    assert run.inputs == (Dataset("digits", "5edc214a", "data/x.csv", "training"),)
    assert (run.start_ms, run.end_ms) == (1_790_000_000_000, 1_790_000_001_000)


def test_runs_are_listed_nested_dead_and_alive_but_not_deleted(
    store: Store, parent: str, experiment: str
) -> None:
    found = by_name(store, experiment)
    assert sorted(found) == sorted([HOSTILE, "child", "alive", "killed"])
    assert found["child"].parent_id == parent
    assert found[HOSTILE].parent_id == ""
    assert {name: run.status for name, run in found.items() if name != HOSTILE} == {
        "child": "FAILED",
        "alive": "RUNNING",
        "killed": "KILLED",
    }
    assert found["alive"].end_ms is None
    assert found["killed"].metrics == {}
    listed = found[HOSTILE]
    assert replace(store.run(parent), metrics={}) == replace(listed, metrics={})


def test_filter_order_and_limit_are_mlflow_s(store: Store, parent: str, experiment: str) -> None:
    assert [run.id for run in store.runs([experiment], "tags.deployed = 'true'")] == [parent]
    names = [
        run.name for run in store.runs([experiment], order=["attributes.run_name ASC"], limit=2)
    ]
    assert names == ["alive", "child"]
    assert list(store.runs([experiment], "params.lr = '7'")) == []


def test_every_run_of_many_pages_comes_once(store: Store, many: str) -> None:
    before = store.counters.requests
    found = [run.id for run in store.runs([many])]
    assert len(found) == len(set(found)) == MANY
    assert store.counters.requests - before == 4
    assert store.counters.seconds > 0
    newest = next(iter(store.runs([many], order=["attributes.start_time DESC"], limit=1)))
    assert newest.params == {"seed": str(MANY - 1)}
    assert len(list(store.runs([many], limit=1_500))) == 1_500


def test_a_page_is_asked_for_when_it_is_needed(store: Store, many: str) -> None:
    before = store.counters.requests
    runs = store.runs([many])
    next(runs)
    assert store.counters.requests - before == 1


@pytest.mark.parametrize(("params", "size"), [(3, 1000), (400, 249), (40_000, 10)])
def test_pages_are_as_large_as_their_runs_allow(params: int, size: int) -> None:
    pairs = [{"key": f"p{number}", "value": "x"} for number in range(params)]
    page = [
        {"info": {"run_id": f"{number:032x}"}, "data": {"params": pairs, "tags": pairs[:1]}}
        for number in range(10)
    ]
    with Gatekeeper(None) as gate, open_store(gate.url, {}) as opened:
        gate.replies = [Reply(200, {"runs": page, "next_page_token": "a"}), Reply(200, {})]
        assert len(list(opened.runs(["1"]))) == 10
        assert [json.loads(item.body)["max_results"] for item in gate.requests] == [10, size]


def test_a_history_is_in_the_order_of_its_steps(store: Store, parent: str) -> None:
    history = store.history(parent, "loss")
    assert history[:2] == (
        Point(0, 1.0, 1_790_000_000_000),
        Point(1, 0.5, 1_790_000_000_001),
    )
    assert math.isnan(history[2].value)
    assert store.history(parent, "gain")[0].value == math.inf
    assert store.history(parent, "never-logged") == ()


def test_a_model_s_versions(store: Store, mlflow_server: Mlflow, parent: str) -> None:
    model = f"digits {store.uri[0]}"  # a name as people give it
    first = mlflow_server.version(model, parent, tags={"deployed": "true"})
    second = mlflow_server.version(model, parent, alias="champion")
    champion = store.version_by_alias(model, "champion")
    assert (champion.version, champion.run_id, champion.aliases) == (second, parent, ("champion",))
    assert [version.version for version in store.versions(model)] == [second, first]
    tagged = store.versions(model, "tag.`deployed` = 'true'")
    assert [version.version for version in tagged] == [first]
    assert store.version(model, first).tags == {"deployed": "true"}
    assert store.versions("nobody's model") == ()


def test_artifacts_of_runs_and_versions(store: Store, mlflow_server: Mlflow, parent: str) -> None:
    model = f"weights-{store.uri[0]}"
    mlflow_server.version(model, parent, alias="champion")
    run, version = store.run(parent), store.version_by_alias(model, "champion")
    assert [(item.path, item.is_folder) for item in store.artifacts(run)] == [
        ("model", True),
        ("requirements.txt", False),
    ]
    assert {item.path for item in store.artifacts(version)} == {"requirements.txt", "data"}
    assert [item.path for item in store.artifacts(version, "data")] == ["data/weights.bin"]
    assert store.artifact_text(run, "requirements.txt", 100) == "numpy==2.0\n"
    assert store.artifact_text(version, "requirements.txt", 100) == "torch==2.13.0\n"
    digest = hashlib.sha256(b"\x00\xff" * 1000).hexdigest()
    assert store.artifact_sha256(version, "data/weights.bin") == digest
    assert store.artifact_sha256(run, "model/data/weights.bin") == digest
    assert store.artifact_text(run, "nothing.txt", 100) is None
    assert store.artifact_sha256(version, "nothing.bin") is None
    with pytest.raises(StoreError, match="more than 5 bytes"):
        store.artifact_text(run, "requirements.txt", 5)
    assert store.artifact_text(run, "requirements.txt", 100), "the connection still works"


@pytest.mark.parametrize(
    ("ask", "state"),
    [
        (lambda store: store.experiment("nobody's"), "no-experiment"),
        (lambda store: store.experiment("987654321"), "no-experiment"),
        (lambda store: store.run("f" * 32), "no-run"),
        (lambda store: store.run("not an id"), "no-run"),
        (lambda store: store.history("f" * 32, "loss"), "no-run"),
        (lambda store: store.version_by_alias("no-such-model", "champion"), "no-model"),
        (lambda store: store.version("no-such-model", "1"), "no-version"),
        (lambda store: list(store.runs(["0"], "tags.deployed = true")), "bad-request"),
        (lambda store: store.versions("both ' and \""), "bad-request"),
    ],
)
def test_what_is_not_there_is_named(store: Store, ask: Ask, state: str) -> None:
    assert state_of(lambda: ask(store)) == state


def test_a_missing_alias_of_a_model_that_is_there(
    store: Store, mlflow_server: Mlflow, parent: str
) -> None:
    mlflow_server.version(f"unnamed-{store.uri[0]}", parent)
    name = f"unnamed-{store.uri[0]}"
    assert state_of(lambda: store.version_by_alias(name, "champion")) == "no-alias"


def test_what_was_deleted_is_named_as_deleted(store: Store, mlflow_server: Mlflow) -> None:
    experiment = mlflow_server.experiment()
    name = store.experiment(experiment).name
    run = mlflow_server.run(experiment, metrics={"loss": [1.0]})
    mlflow_server.call("runs/delete", {"run_id": run})
    assert state_of(lambda: store.run(run)) == "deleted"
    mlflow_server.call("experiments/delete", {"experiment_id": experiment})
    assert state_of(lambda: store.experiment(name)) == "deleted"


def test_reading_leaves_the_database_as_it_was(mlflow_server: Mlflow, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with sqlite3.connect(mlflow_server.database.removeprefix("sqlite:///")) as source:
        source.execute("VACUUM INTO ?", (str(copy),))
    before = copy.read_bytes()
    with open_store(f"sqlite:///{copy}", {}) as store:
        experiment = store.experiment("store-digits")
        assert list(store.runs([experiment.id]))
    assert copy.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db"]


@pytest.mark.parametrize("name", ["missing.db", "empty.db", "folder"])
def test_nothing_is_created_where_nothing_is(tmp_path: Path, name: str) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder").mkdir()
    uri = str(tmp_path / name) if name == "folder" else f"sqlite:///{tmp_path / name}"
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    assert state_of(lambda: open_store(uri, {}).experiment("digits")) == "unreachable"
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("uri", "state"),
    [
        ("", "bad-request"),
        ("http://", "bad-request"),
        ("http://127.0.0.1:port", "bad-request"),
        ("http://127.0.0.1/?x=1", "bad-request"),
        ("nonsense://x", "bad-request"),
        ("postgresql://user:secret@127.0.0.1:1/mlflow", "no-client"),
    ],
)
def test_a_uri_that_cannot_be_used_says_so_without_its_password(uri: str, state: str) -> None:
    with pytest.raises(StoreError) as raised:
        open_store(uri, {}).experiment("digits")
    assert raised.value.state == state
    assert "secret" not in str(raised.value)


class Impatient(Protocol):
    """Opens stores that do not wait between attempts."""

    def __call__(self, uri: str, **environ: str) -> RestStore:
        """Return one."""
        ...


@pytest.fixture
def impatient() -> Iterator[Impatient]:
    """Open stores that do not wait between attempts."""
    with ExitStack() as opened:

        def make(uri: str, **environ: str) -> RestStore:
            store = RestStore.at(uri, environ)
            store._connection.patience = Patience(attempts=3, sleep=lambda _seconds: None)
            return opened.enter_context(store)

        yield make


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://ada:pa/s3cret@h:5/db", "postgresql://h:5/db"),
        ("postgresql://ada:p@s3cret@h/db", "postgresql://h/db"),
        ("postgresql://ada:p?s3cret@h/db", "postgresql://h/db"),
        ("postgresql+psycopg2://h/db?user=ada&password=s3cret", "postgresql+psycopg2://h/db"),
        ("mssql+pyodbc:///?odbc_connect=SERVER%3Dh%3BPWD%3Ds3cret", "mssql+pyodbc:///"),
        ("postgresql://h:5432/db?password=s3c@ret", "postgresql://ret"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("databricks://staging", "databricks://staging"),
        ("mlruns", "mlruns"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(uri: str, expected: str) -> None:
    assert shown(uri) == expected
    assert ("s3cret" in uri) <= holds_password(uri)


@pytest.mark.parametrize(
    ("uri", "environ", "warned"),
    [
        ("http://mlflow.acme.org:5000", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, True),
        ("HTTP://mlflow.acme.org", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, True),
        ("http://ada:t0ken@mlflow.acme.org", {}, True),
        ("http://mlflow.acme.org:5000", {}, False),
        ("http://localhost:5000", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, False),
        ("http://127.0.0.1:5000", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, False),
        ("https://mlflow.acme.org", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, False),
        ("sqlite:///mlflow.db", {"MLFLOW_TRACKING_TOKEN": "t0ken"}, False),
    ],
)
def test_credentials_in_the_clear_are_warned_of(
    uri: str, environ: dict[str, str], warned: bool
) -> None:
    found = caution(uri, environ)
    assert ("without TLS" in found) == warned
    assert "t0ken" not in found


@pytest.mark.parametrize("word", ["analyze", "drift"])
def test_words_warn_of_credentials_in_the_clear(word: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("lr: 1\n")
    given = {
        "analyze": ["--experiment", "x", "--metric", "y"],
        "drift": ["--config", str(tmp_path / "p.yaml"), "--experiment", "x"],
    }[word]
    stream = io.StringIO()
    with Gatekeeper(None) as proxy:  # it stands in for the network on the way
        proxy.replies = [Reply(401, {})]
        environ = {"http_proxy": proxy.url, "MLFLOW_TRACKING_TOKEN": "t0ken"}
        arguments = [word, *given, "--tracking-uri", "http://mlflow.acme.org"]
        code = run([*arguments, "--out", str(tmp_path / "out")], Runner(environ, stream))
        assert proxy.requests[0].headers["authorization"] == "Bearer t0ken"
    assert code == 2
    assert "http://mlflow.acme.org without TLS" in " ".join(stream.getvalue().split())


def test_a_server_that_is_not_there(impatient: Impatient) -> None:
    store = impatient(f"http://127.0.0.1:{free_port()}")
    assert state_of(lambda: store.experiment("digits")) == "unreachable"
    assert store.counters.requests == 3


@pytest.mark.parametrize(
    ("environ", "authorization"),
    [
        (
            {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "s3cret"},
            "Basic YWRhOnMzY3JldA==",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "tok\n"}, "Bearer tok"),
        (
            {
                "MLFLOW_TRACKING_USERNAME": "ada",
                "MLFLOW_TRACKING_PASSWORD": "s3cret",
                "MLFLOW_TRACKING_TOKEN": "tok",
            },
            "Basic YWRhOnMzY3JldA==",
        ),
    ],
    ids=["basic", "token", "both"],
)
def test_credentials_are_those_mlflow_s_client_sends(
    mlflow_server: Mlflow,
    experiment: str,
    environ: dict[str, str],
    authorization: str,
    impatient: Impatient,
) -> None:
    with Gatekeeper(mlflow_server, authorization) as gate:
        store = impatient(gate.url, **environ)
        assert store.experiment("store-digits").id == experiment
        refused = impatient(gate.url)
        assert state_of(lambda: refused.experiment("store-digits")) == "unauthorized"
        wrong = impatient(gate.url, MLFLOW_TRACKING_TOKEN="nobody's")
        with pytest.raises(StoreError, match="refused the credentials") as raised:
            wrong.experiment("store-digits")
        assert "nobody" not in str(raised.value)
        assert len(gate.requests) == 3, "a refusal is not asked for again"
        in_uri = impatient(f"http://ada:s3cret@127.0.0.1:{gate.port}/")
        assert in_uri.uri == gate.url
        if authorization.startswith("Basic"):
            assert in_uri.experiment("store-digits").id == experiment


def test_credentials_that_no_header_can_carry_are_refused() -> None:
    with pytest.raises(Exception, match="cannot carry"):
        open_store("http://127.0.0.1", {"MLFLOW_TRACKING_TOKEN": "two\nlines"})


def test_a_host_that_mlflow_does_not_serve(mlflow_server: Mlflow, impatient: Impatient) -> None:
    """A server that runs as a service container is asked by a name it does not know."""
    store = impatient(mlflow_server.uri)
    address = store._connection.address
    headers = {**address.headers, "Host": "mlflow:5000"}
    store._connection.address = replace(address, headers=headers)
    with pytest.raises(StoreError, match="--allowed-hosts") as raised:
        store.experiment("digits")
    assert raised.value.state == "host-refused"


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        ("<html>a page</html>", "not-mlflow"),
        ('["no object"]', "not-mlflow"),
        ('{"experiment": 7}', "not-mlflow"),
        (Reply(404, {"message": "no error code"}), "not-mlflow"),
        (Reply(302, None, {"Location": "https://login.example.org/?to=x"}), "not-mlflow"),
        (Reply(403, {"error_code": "PERMISSION_DENIED", "message": "no"}), "unauthorized"),
    ],
)
def test_what_answers_but_is_not_our_server(
    reply: Reply | str, state: str, impatient: Impatient
) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = [reply]
        assert state_of(lambda: impatient(gate.url).experiment("digits")) == state
        assert len(gate.requests) == 1


def test_what_may_pass_is_asked_again(
    mlflow_server: Mlflow, experiment: str, impatient: Impatient
) -> None:
    with Gatekeeper(mlflow_server) as gate:
        gate.replies = [Reply(503, {"message": "busy"}), None]
        assert impatient(gate.url).experiment("store-digits").id == experiment
        gate.replies = [Reply(500, {"error_code": "INTERNAL_ERROR", "message": "broken"})] * 3
        assert state_of(lambda: impatient(gate.url).experiment("store-digits")) == "failed"


class Cutting(Gatekeeper):
    """A connection that ends in the middle of the first answers."""

    cuts = 0

    def _send(self, status: int, body: bytes, handler: Handler) -> None:
        """Promise all of it; send half while there are cuts left."""
        if not self.cuts:
            super()._send(status, body, handler)
            return
        self.cuts -= 1
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2])
        handler.wfile.flush()
        handler.drop()


@pytest.mark.parametrize(
    "ask",
    [
        lambda store, _: store.experiment("store-digits").name,
        lambda store, run: store.artifact_text(store.run(run), "model/requirements.txt", 1000),
        lambda store, run: store.artifact_text(store.run(run), "model/requirements.txt", 14),
        lambda store, run: store.artifact_sha256(store.run(run), "model/data/weights.bin"),
    ],
    ids=["json", "text", "text that just fits", "hash"],
)
def test_half_an_answer_is_none(
    mlflow_server: Mlflow, parent: str, impatient: Impatient, ask: Callable[[Store, str], Any]
) -> None:
    with Cutting(mlflow_server) as gate:
        expected = ask(impatient(gate.url), parent)
        gate.cuts = 1
        assert ask(impatient(gate.url), parent) == expected, "it was not asked again"
        gate.cuts = 100
        with pytest.raises(StoreError, match="in the middle of an answer") as raised:
            ask(impatient(gate.url), parent)
        assert raised.value.state == "unreachable"


def test_an_artifact_that_is_too_large_is_no_cut_connection(
    mlflow_server: Mlflow, parent: str
) -> None:
    with open_store(mlflow_server.uri, {}) as store:
        run = store.run(parent)
        with pytest.raises(StoreError, match="more than 5 bytes"):
            store.artifact_text(run, "model/requirements.txt", 5)


RUN_JSON = {"info": {"run_id": "a" * 32}, "data": {}}


@pytest.mark.parametrize(
    ("info", "data"),
    [
        ({"status": 7}, {}),
        ({"run_name": ["x"]}, {}),
        ({"start_time": "soon"}, {}),
        ({}, {"params": [{"key": "lr", "value": 0.1}]}),
        ({}, {"params": [{"key": None, "value": "x"}]}),
        ({}, {"metrics": [{"key": "loss", "value": True}]}),
        ({}, {"metrics": [{"key": "loss", "value": "low"}]}),
    ],
)
def test_a_run_of_another_form_is_not_mlflow_s(info: dict[str, Any], data: dict[str, Any]) -> None:
    answer = {"runs": [{"info": {**RUN_JSON["info"], **info}, "data": data}]}
    with Gatekeeper(None) as gate, open_store(gate.url, {}) as store:
        gate.replies = [Reply(200, answer)]
        assert state_of(lambda: list(store.runs(["1"]))) == "not-mlflow"


def test_what_a_run_lacks_is_not_invented() -> None:
    info = {**RUN_JSON["info"], "status": None, "start_time": 10**25, "run_name": "a\ud800b"}
    data = {
        "params": [{"key": "lr", "value": None}, {"key": "name", "value": "\udfff"}],
        "metrics": [{"key": "loss"}],
    }
    with Gatekeeper(None) as gate, open_store(gate.url, {}) as store:
        gate.replies = [Reply(200, {"runs": [{"info": info, "data": data}]})]
        (found,) = store.runs(["1"])
    assert (found.status, found.start_ms, found.name) == ("", None, "a?b")
    assert found.params == {"lr": "", "name": "?"}
    assert math.isnan(found.metrics["loss"])


def test_an_answer_that_is_nested_without_end_is_not_mlflow_s() -> None:
    with Gatekeeper(None) as gate, open_store(gate.url, {}) as store:
        gate.replies = ["[" * 100_000]
        assert state_of(lambda: store.experiment("digits")) == "not-mlflow"


def test_a_connection_that_rested_is_opened_again(
    mlflow_server: Mlflow, experiment: str, impatient: Impatient
) -> None:
    with Gatekeeper(mlflow_server) as gate:
        store = impatient(gate.url)
        store.experiment("store-digits")
        gate.replies = [None]
        store._connection.patience = Patience(attempts=1)
        assert store.experiment("store-digits").id == experiment


def test_a_run_deleted_while_runs_are_read(mlflow_server: Mlflow) -> None:
    experiment = mlflow_server.experiment()
    kept, gone = mlflow_server.run(experiment), mlflow_server.run(experiment)
    with open_store(mlflow_server.uri, {}) as store:
        assert len(list(store.runs([experiment]))) == 2
        mlflow_server.call("runs/delete", {"run_id": gone})
        assert state_of(lambda: store.history(gone, "loss")) == "deleted"
        assert [run.id for run in store.runs([experiment])] == [kept]


def test_an_answer_without_end_is_not_read(
    monkeypatch: pytest.MonkeyPatch, impatient: Impatient
) -> None:
    monkeypatch.setattr(connection_module, "MAX_ANSWER_BYTES", 1000)
    with Gatekeeper(None) as gate:
        gate.replies = ["[" + "1," * 1000 + "1]"]
        assert state_of(lambda: impatient(gate.url).experiment("digits")) == "failed"


def test_a_path_before_the_interface_is_kept(mlflow_server: Mlflow, impatient: Impatient) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = ['{"experiment": {"experiment_id": "1", "name": "digits"}}']
        assert impatient(f"{gate.url}/ml flow/").experiment("digits").id == "1"
        assert gate.requests[0].path == "/ml%20flow/api/2.0/mlflow/experiments/get-by-name"


def test_certificates_are_checked(tmp_path: Path, impatient: Impatient) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    files = ["-keyout", str(key), "-out", str(certificate), "-newkey", "rsa:2048", "-nodes"]
    command = ["openssl", "req", "-x509", *request, *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Gatekeeper(None) as gate:
        gate._server.socket = context.wrap_socket(gate._server.socket, server_side=True)
        gate.replies = ['{"experiment": {"experiment_id": "1", "name": "digits"}}'] * 2
        uri = gate.url.replace("http:", "https:")
        with pytest.raises(StoreError, match="MLFLOW_TRACKING_SERVER_CERT_PATH") as raised:
            impatient(uri).experiment("digits")
        assert raised.value.state == "unreachable"
        trusting = impatient(uri, MLFLOW_TRACKING_SERVER_CERT_PATH=str(certificate))
        assert trusting.experiment("digits").id == "1"
        assert impatient(uri, MLFLOW_TRACKING_INSECURE_TLS="true").experiment("digits").id == "1"
        gate.defects.clear()  # the refused handshake
    with pytest.raises(UserError, match="no certificate"):
        impatient(uri, MLFLOW_TRACKING_SERVER_CERT_PATH=str(tmp_path / "absent.pem"))


def test_a_proxy_is_used_where_one_is_named_and_never_for_this_machine(
    impatient: Impatient,
) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = ['{"experiment": {"experiment_id": "1", "name": "digits"}}']
        store = impatient("http://mlflow.example.org:5000", http_proxy=gate.url)
        assert store.experiment("digits").id == "1"
        assert gate.requests[0].headers["host"] == "mlflow.example.org:5000"
    environ = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "example.org"}
    for uri in ("http://mlflow.example.org", "http://localhost:5000"):
        assert impatient(uri, **environ)._connection.address.proxy == ""


def test_http_never_imports_mlflow(mlflow_server: Mlflow) -> None:
    program = (
        "import sys; from mlactions.mlflow_store import open_store\n"
        f"store = open_store({mlflow_server.uri!r}, {{}})\n"
        "list(store.runs(['0']))\n"
        "print([name for name in ('mlflow', 'sqlalchemy', 'requests') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1] / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


LISTINGS = pytest.mark.parametrize(
    ("answer", "ask"),
    [
        ({"runs": []}, lambda store: list(store.runs(["1"]))),
        ({"metrics": []}, lambda store: store.history("a" * 32, "loss")),
        ({"model_versions": []}, lambda store: store.versions("digits")),
    ],
    ids=["runs", "history", "versions"],
)


@LISTINGS
@pytest.mark.parametrize("tokens", ["aa", "aba", "abcda"])
def test_pages_that_lead_back_are_an_error(answer: dict[str, Any], ask: Ask, tokens: str) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = [Reply(200, {**answer, "next_page_token": name}) for name in tokens]
        gate.replies += [Reply(200, answer)]
        with (
            open_store(gate.url, {}) as opened,
            pytest.raises(StoreError, match="leads back to one that was read"),
        ):
            ask(opened)
        assert len(gate.requests) == len(tokens)


@LISTINGS
def test_pages_that_only_go_on_are_an_error(answer: dict[str, Any], ask: Ask) -> None:
    with Gatekeeper(None) as gate:
        gate.replies = [Reply(200, {**answer, "next_page_token": f"{n}"}) for n in range(200)]
        with (
            open_store(gate.url, {}) as opened,
            pytest.raises(StoreError, match="100 of its pages in a row brought nothing new"),
        ):
            ask(opened)
        assert len(gate.requests) == 100


class Workspace(Gatekeeper):
    """Databricks, as far as its listing of runs goes; whatever else its SDK asks is not there."""

    def respond(self, request: Request, handler: Handler) -> None:
        """Give the next page."""
        known = request.path.endswith("/runs/search")
        handler.send(Reply(200, {"runs": [], "next_page_token": self.next()} if known else {}))
        self.requests += [request] if known else []

    def next(self) -> str:
        """Return the token of two pages in turns."""
        return "ab"[len(self.requests) % 2]


def test_a_workspace_whose_pages_lead_back_is_an_error() -> None:
    # Databricks is read through MLflow's client, which hands on what tokens it gets.
    program = (
        "import json, sys\n"
        "from mlactions.mlflow_store import open_store\n"
        "list(open_store('databricks', json.loads(sys.argv[1])).runs(['1']))\n"
    )
    with Workspace(None) as workspace:
        environ = {"DATABRICKS_HOST": workspace.url, "DATABRICKS_TOKEN": "t0ken"}
        done = subprocess.run(
            [sys.executable, "-c", program, json.dumps(environ)],
            cwd=Path(__file__).parents[1] / "scripts",
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert "leads back to one that was read" in done.stderr, done.stderr
    assert len(workspace.requests) == 3
