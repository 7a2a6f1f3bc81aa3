"""Claims about runs are held to what MLflow has, and a suggested sweep to what `sweep` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions import markdown
from mlactions.__main__ import run as main
from mlactions.analyze.claims import Claim, check
from mlactions.analyze.proposal import (
    MAX_CLAIMS,
    check_proposal,
    find_identifiers,
    render_proposal,
)
from mlactions.analyze.records import MAX_BYTES, Record, Recorder, Records
from mlactions.analyze.suggestion import NAME, check_sweep
from mlactions.analyze.tracker import Tracker
from mlactions.ask.proposal import CheckedProposal
from mlactions.ask.repository import open_repository
from mlactions.bundle import seal
from mlactions.mlflow_store import open_store
from mlactions.report import Report
from mlactions.runner import Runner
from mlactions.settings import Status
from tests import github_html
from tests.analyze_support import Logged, known_truth, write
from tests.evaluate_support import Repository
from tests.fakes.loopback import Reply
from tests.mlflow_support import Gatekeeper, Mlflow

RUN = "a" * 32
PARAMS = {"optim.lr": "0.0012345", "optim.name": "adamw", "model/width": "64", "flag": "True"}
SWEEP = """\
method: random
run_cap: 20
metric: {name: val_accuracy, goal: maximize}
parameters:
  optim.lr: {distribution: log_uniform_values, min: 0.001, max: 0.1}
  model.dropout: {values: [0.1, 0.2]}
"""


class Fixed:
    """One run that is known."""

    record = Record(RUN, PARAMS, {"val_accuracy": 0.97123, "loss": float("nan"), "pct": 97.123})

    def run(self, identifier: str, parameter: str = "") -> Record | str:  # noqa: ARG002  # a protocol
        """Return it by its id."""
        return self.record if identifier == RUN else f"there is no run {identifier}"

    def at_step(self, run: str, metric: str, step: int) -> float | str:  # noqa: ARG002  # a protocol
        """Return a value at the third step only."""
        return 0.5 if step == 3 else f"nothing at step {step}"


def claim(name: str, value: str, kind: str = "metric", **more: Any) -> dict[str, Any]:
    return {
        "run": RUN,
        "kind": kind,
        "name": name,
        "value": value,
        "step": None,
        "says": "It is so.",
        **more,
    }


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("metric", "val_accuracy", "0.97123"),
        ("metric", "val_accuracy", "0.971"),
        ("metric", "val_accuracy", "0.97"),
        ("metric", "val_accuracy", "97.1 %"),
        ("metric", "val_accuracy", "9.71e-1"),
        ("metric", "pct", "97.1"),
        ("metric", "pct", "97.1%"),
        ("metric", "loss", "nan"),
        ("parameter", "optim.lr", "0.0012345"),
        ("parameter", "optim.lr", "1.23e-3"),
        ("parameter", "optim.name", "adamw"),
        ("parameter", "model.width", "64"),
        ("parameter", "model/width", "64.0"),
        ("parameter", "flag", "true"),
    ],
)
def test_a_claim_holds_at_the_precision_it_is_printed_with(
    kind: str, name: str, value: str
) -> None:
    found = check(Claim.of(claim(name, value, kind)), Fixed())
    assert (found.struck, found.run) == ("", RUN)
    assert found.measured


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        ("metric", "val_accuracy", "0.972", "it is 0.97123"),
        ("metric", "val_accuracy", "0.9713", "it is 0.97123"),
        ("metric", "val_accuracy", "-0.971", "it is 0.97123"),
        ("metric", "val_accuracy", "1", "one digit is too few"),
        ("metric", "val_accuracy", "97.1", "it is 0.97123"),
        ("metric", "val_accuracy", "good", "no number"),
        ("metric", "val_accuracy", "", "no number"),
        ("metric", "pct", "0.971 %", "it is 97.123"),
        ("metric", "loss", "0.3", "it is nan"),
        ("metric", "optim.lr", "0.0012345", "no metric 'optim.lr'"),
        ("parameter", "val_accuracy", "0.97123", "no parameter 'val_accuracy'"),
        ("parameter", "optim.lr", "0.00124", "it is 0.0012345"),
        ("parameter", "optim.name", "adam", "it is adamw"),
        ("parameter", "model.width", "65", "it is 64"),
        ("parameter", "flag", "1", "it is true"),
    ],
)
def test_a_claim_that_is_not_so_says_what_is(kind: str, name: str, value: str, why: str) -> None:
    found = check(Claim.of(claim(name, value, kind)), Fixed())
    assert why in found.struck


def test_a_step_is_looked_up_and_an_unknown_run_is_none() -> None:
    assert not check(Claim.of(claim("loss", "0.50", step=3)), Fixed()).struck
    assert "nothing at step 4" in check(Claim.of(claim("loss", "0.5", step=4)), Fixed()).struck
    assert "no run" in check(Claim.of(claim("loss", "0.5", run="b" * 32)), Fixed()).struck


def test_numbers_beside_a_claim_are_held_to_its_run() -> None:
    says = "With a rate of 0.00123 it got 0.971, up from 0.842."
    found = check(Claim.of(claim("val_accuracy", "0.971", says=says)), Fixed())
    assert found.unverified == ("0.842",)


def test_records_are_capped_and_found_by_the_start_of_an_id() -> None:
    runs = [item.run() for item in known_truth(1, 20)]
    recorder = Recorder()
    assert list(recorder.watch(runs)) == runs
    records = Records(Record(run.id, run.params, run.metrics) for run in runs)
    assert records.find(runs[3].id[:8]) == records.find(runs[3].id)
    assert records.find(runs[3].id[:6]) is None
    assert Records([Record(f"{'a' * 9}{end}", {}, {}) for end in "bc"]).find("a" * 9) is None
    wide = Logged("f" * 32, {f"p{n}": "x" * 400 for n in range(9_000)}).run()
    many = Recorder()
    assert sum(1 for _ in many.watch([wide] * 4)) == 4
    assert many.left_out == 3
    assert len(many.text().encode()) <= MAX_BYTES


@pytest.fixture(scope="module")
def experiment(mlflow_server: Mlflow) -> str:
    """Return an experiment with a search, and with one long parameter."""
    name = "analyze-claims"
    number = mlflow_server.experiment(name)
    write(mlflow_server.database, number, known_truth(11, 40))
    mlflow_server.run(number, {"long": "x" * 600}, metrics={"val_accuracy": [0.1, 0.2]})
    return name


@pytest.fixture
def bundle(mlflow_server: Mlflow, experiment: str, tmp_path: Path) -> Path:
    out = tmp_path / "analysis"
    given = ["--metric", "val_accuracy", "--out", str(out), "--today", "2026-09-22", "--top", "2"]
    where = ["--tracking-uri", mlflow_server.uri, "--experiment", experiment]
    assert main(["analyze", *where, *given], Runner({})) == 0
    return out


def checked(bundle: Path, claims: list[dict[str, Any]], sweep: str = "", uri: str = "") -> Any:
    root = bundle.parent / "repository"
    if not root.exists():
        Repository.make(root, {"a.py": "a = 1\n"})
    found: CheckedProposal = check_proposal(
        {"claims": claims, "sweep": sweep},
        facts={},
        repository=open_repository(root),
        bundle=bundle,
        environ={"MLFLOW_TRACKING_URI": uri} if uri else {},
    )
    return found


def test_claims_are_looked_up_in_the_analysis_and_then_in_mlflow(
    mlflow_server: Mlflow, bundle: Path
) -> None:
    result = json.loads((bundle / "result.json").read_text())
    best = result["configurations"][0]
    worst = Records.of(bundle / "runs.jsonl").find(result["configurations"][-1]["runs"][0])
    assert worst is not None
    last = worst.metrics["val_accuracy"]
    kept = result["curves"][0]
    claims = [
        claim("val_accuracy", f"{best['mean']:.4f}", run=best["runs"][0]),
        claim("val_accuracy", f"{last:.4f}", run=worst.id),
        claim("val_accuracy", f"{last + 0.1:.4f}", run=worst.id),
        claim("val_accuracy", f"{kept['values'][3]:.4f}", run=kept["run"], step=kept["steps"][3]),
        claim("val_accuracy", "0.5", run="0" * 32),
    ]
    alone = checked(bundle, claims)
    assert [item["held"] for item in alone.document["claims"]] == [True, True, False, True, False]
    assert "no tracking server was named" in alone.document["claims"][4]["struck"]
    asked = checked(bundle, claims, uri=mlflow_server.uri)
    assert (asked.checked, asked.held) == (5, 3)
    assert asked.document["claims"][4]["struck"] == f"MLflow has no run '{'0' * 32}'"


def test_what_the_analysis_did_not_keep_is_asked_of_mlflow(
    mlflow_server: Mlflow, bundle: Path
) -> None:
    kept = Records.of(bundle / "runs.jsonl")
    lines = (bundle / "runs.jsonl").read_text().splitlines()
    (long,) = [json.loads(text) for text in lines if json.loads(text)["cut"]]
    of_worst = kept.find(json.loads(lines[5])["id"])
    assert of_worst is not None
    early = claim("train_loss", "2.30", run=of_worst.id, step=0)
    claims = [
        claim("long", "x" * 600, "parameter", run=long["id"]),
        claim("long", "y" * 600, "parameter", run=long["id"]),
        early,
        {**early, "value": "2.40"},
        {**early, "step": 77},
    ]
    found = checked(bundle, claims, uri=mlflow_server.uri).document["claims"]
    assert [item["held"] for item in found] == [True, False, True, False, False]
    assert "at step 77" in found[4]["struck"]


def test_a_run_of_another_experiment_or_in_the_bin_does_not_count(
    mlflow_server: Mlflow, bundle: Path
) -> None:
    other = mlflow_server.experiment()
    stranger = mlflow_server.run(other, metrics={"val_accuracy": [0.99]})
    gone = mlflow_server.run(other, metrics={"val_accuracy": [0.99]})
    mlflow_server.call("runs/delete", {"run_id": gone})
    claims = [claim("val_accuracy", "0.99", run=run) for run in (stranger, gone)]
    found = checked(bundle, claims, uri=mlflow_server.uri).document["claims"]
    assert "not of this experiment" in found[0]["struck"]
    assert "deleted" in found[1]["struck"]


def test_a_server_that_refuses_is_asked_once_and_nothing_is_believed(
    mlflow_server: Mlflow, bundle: Path
) -> None:
    with Gatekeeper(mlflow_server) as gate:
        gate.replies = [Reply(403, {"detail": "no"}) for _ in range(9)]
        claims = [claim("val_accuracy", "0.5", run=f"{n:032x}") for n in range(6)]
        found = checked(bundle, claims, uri=gate.url)
        assert len(gate.requests) == 1
    assert (found.checked, found.held) == (6, 0)
    for item in found.document["claims"]:
        assert "could not be looked up" in item["struck"]


def test_more_claims_than_a_person_reads_are_struck(bundle: Path) -> None:
    many = [claim("val_accuracy", "0.5", run=f"{n:032x}") for n in range(MAX_CLAIMS + 5)]
    found = checked(bundle, many)
    assert (found.checked, found.held) == (MAX_CLAIMS + 5, 0)
    assert "not looked up" in found.document["claims"][-1]["struck"]


def test_a_sweep_is_read_as_a_users_is(bundle: Path) -> None:
    found = checked(bundle, [], SWEEP)
    assert (found.checked, found.held) == (1, 1)
    assert found.files == {NAME: SWEEP}
    text = shown(found)
    assert "`suggested-sweep.yaml`, random over `optim.lr`, `model.dropout`." in text
    assert "log_uniform_values" in text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("parameters: {lr: {values: []}}", "line 1"),
        ("method: grid\nparameters: {a: {valuse: [1]}}", "valuse"),
        (f"{SWEEP}command: [rm, -rf, /, '${{args}}']\n", "names a command"),
        (f"{SWEEP}program: evil.py\n", "names a command"),
        (SWEEP.replace("maximize", "minimize"), "it would minimize, and higher is better"),
        (SWEEP.replace("goal: maximize", "target: 1"), "it would minimize"),
        (SWEEP.replace("name: val_accuracy", "name: nothing"), "its metric is `nothing`"),
        (SWEEP.replace("[0.1, 0.2]", "['${oc.env:OPENAI_API_KEY}']"), "interpolation"),
        (SWEEP.replace("model.dropout", "model._target_"), "names what is to be called"),
        ("a: [", "line 2"),
        (f"{SWEEP}# \u202e\n", "hide or reorder"),
        (SWEEP + "# x" * 64_000, "64,000"),
    ],
)
def test_a_sweep_that_does_not_hold_is_struck_and_not_kept(
    text: str, why: str, bundle: Path
) -> None:
    found = checked(bundle, [], text)
    assert (found.checked, found.held, found.files) == (1, 0, {})
    assert why in found.document["sweep"]["struck"]
    assert "The suggested sweep was struck" in shown(found)


def test_no_sweep_is_no_claim_and_a_new_parameter_is_said() -> None:
    settings = {"metric": "val_accuracy", "direction": "higher"}
    result = {"settings": settings, "parameters": [{"name": "optim/lr"}]}
    assert check_sweep("  \n", result) is None
    found = check_sweep(SWEEP, result)
    assert found is not None
    assert found.new == ("model.dropout",)


def shown(found: CheckedProposal) -> str:
    blocks = render_proposal(json.loads(json.dumps(found.document)))
    return markdown.render(Report("Answer", Status.PASS, "It says.", blocks))


def test_what_held_and_what_was_struck_is_shown_as_data(bundle: Path) -> None:
    hostile = "</td><script>x</script> | `a` @octo [b](http://evil.example) ~~ ::error::"
    best = json.loads((bundle / "result.json").read_text())["configurations"][0]
    claims = [
        claim("val_accuracy", f"{best['mean']:.3f}", run=best["runs"][0], says=hostile),
        claim(hostile, hostile, "parameter", run=best["runs"][0], says=hostile),
        claim("val_accuracy", "0.1", run=hostile, says=hostile),
    ]
    text = shown(checked(bundle, claims))
    assert "Looked up in the analysis: 3 claims, 1 held." in text
    assert "2 claims were struck" in text
    page = github_html.page(text)
    assert "script" not in page.tags
    assert page.links == []
    assert page.notifies() == {}


def test_a_bundle_that_was_changed_is_refused(bundle: Path) -> None:
    path = bundle / "runs.jsonl"
    path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(Exception, match="changed after it was measured"):
        checked(bundle, [])
    seal(bundle, "analyze")
    assert checked(bundle, []).checked == 0


def test_run_ids_of_prose_are_looked_up_in_the_analysis_and_then_in_mlflow(
    mlflow_server: Mlflow, bundle: Path
) -> None:
    kept = json.loads((bundle / "runs.jsonl").read_text().splitlines()[0])["id"]
    number = json.loads((bundle / "result.json").read_text())["source"]["experiment_id"]
    later = mlflow_server.run(number, metrics={"val_accuracy": [0.5]})
    asked = [kept, kept[:8], later, "deadbeef" * 4, "0badc0de"]
    assert find_identifiers(asked, bundle=bundle, environ={}) == {kept, kept[:8]}
    found = find_identifiers(
        asked, bundle=bundle, environ={"MLFLOW_TRACKING_URI": mlflow_server.uri}
    )
    assert found == {kept, kept[:8], later}


def test_a_claim_about_a_secret_is_answered_with_no_secret(mlflow_server: Mlflow) -> None:
    number = mlflow_server.experiment()
    run = mlflow_server.run(number, {"db.password": "hunter2", "lr": "0.1"})
    result = {"source": {"experiment_id": number}, "curves": []}
    with open_store(mlflow_server.uri, {}) as store:
        tracker = Tracker(Records(), result, store)
        for value in ("guess", "hunter2"):
            found = check(Claim.of(claim("db.password", value, "parameter", run=run)), tracker)
            assert found.struck
            assert "hunter2" not in f"{found.struck} {found.measured}"
        assert not check(Claim.of(claim("lr", "0.10", "parameter", run=run)), tracker).struck


def test_a_claim_that_names_a_run_nobody_knows_does_not_hold() -> None:
    stranger = "deadbeef" * 4
    says = f"As run {RUN} and run {stranger} show."
    found = check(Claim.of(claim("val_accuracy", "0.971", says=says)), Fixed())
    assert found.struck == f"it names {stranger}: there is no run {stranger}"
    assert not check(
        Claim.of(claim("val_accuracy", "0.971", says=f"As {RUN} shows.")), Fixed()
    ).struck
    many = " ".join(f"{number:x}bad{number:028x}" for number in range(20))
    found = check(Claim.of(claim("val_accuracy", "0.971", says=many)), Fixed())
    assert found.struck


def test_what_a_run_was_given_may_be_named_beside_a_claim() -> None:
    class Digest(Fixed):
        record = Record(RUN, {"data.digest": "71e9ab87"}, {"val_accuracy": 0.971})

    says = "It read the data of digest 71e9ab87."
    assert not check(Claim.of(claim("val_accuracy", "0.971", says=says)), Digest()).struck


def test_claims_whose_words_name_invented_runs_are_counted(bundle: Path) -> None:
    line = json.loads((bundle / "runs.jsonl").read_text().splitlines()[0])
    value = f"{line['metrics']['val_accuracy']:.4f}"
    right = claim("val_accuracy", value, run=line["id"])
    wrong = {**right, "says": f"It beats run {'deadbeef' * 4}."}
    found = checked(bundle, [wrong, right])
    assert (found.checked, found.held) == (2, 1)
    assert "2 claims, 1 held" in shown(found)


def test_an_answer_without_claims_about_runs_says_so(bundle: Path) -> None:
    assert "no claim about a run" in shown(checked(bundle, []))


HUGE = "9" * 400


@pytest.mark.parametrize(
    "value", ["1e309", "1e999", "-1E+400", HUGE, f"{HUGE}.5", f"0.{HUGE}", "1e-999"]
)
def test_a_number_beyond_every_float_is_struck(value: str) -> None:
    assert check(Claim.of(claim("val_accuracy", value)), Fixed()).struck


def test_a_parameter_beyond_every_float_is_compared_as_it_is() -> None:
    class Large(Fixed):
        record = Record(RUN, {"size": HUGE, "lr": "0.5"}, {"val_accuracy": 0.971})

    assert not check(Claim.of(claim("size", HUGE, "parameter")), Large()).struck
    assert check(Claim.of(claim("size", "9" * 399 + "8", "parameter")), Large()).struck
    assert check(Claim.of(claim("size", "1e999", "parameter")), Large()).struck
    found = check(Claim.of(claim("lr", "0.50", "parameter", says=f"Not {HUGE}.")), Large())
    assert (found.struck, found.unverified) == ("", (HUGE,))
    assert check(Claim.of(claim("val_accuracy", "1", step=10**400)), Fixed()).struck


@given(
    value=st.text(max_size=30)
    | st.from_regex(r"[-+]?[0-9]{0,400}\.?[0-9]{0,400}([eE][-+]?[0-9]{1,4})? ?%?", fullmatch=True),
    kind=st.sampled_from(["metric", "parameter"]),
    name=st.sampled_from(["val_accuracy", "loss", "pct", "optim.lr", "flag", "size"]),
    step=st.none() | st.integers(),
)
def test_no_value_of_a_claim_breaks_the_check(
    value: str, kind: str, name: str, step: int | None
) -> None:
    class Large(Fixed):
        record = Record(RUN, {**PARAMS, "size": HUGE}, Fixed.record.metrics)

    found = check(Claim.of(claim(name, value, kind, step=step, says=value)), Large())
    assert isinstance(found.struck, str)


@pytest.mark.parametrize("length", [250, 500])
def test_a_value_that_mlflow_cut_confirms_nothing_of_what_is_appended(length: int) -> None:
    class Cut(Fixed):
        record = Record(RUN, {"note": "x" * length}, {})

    assert not check(Claim.of(claim("note", "x" * length, "parameter")), Cut()).struck
    assert check(Claim.of(claim("note", "x" * length + " and more", "parameter")), Cut()).struck


def test_a_claim_that_is_repeated_counts_once(bundle: Path) -> None:
    best = json.loads((bundle / "result.json").read_text())["configurations"][0]
    good = claim("val_accuracy", f"{best['mean']:.4f}", run=best["runs"][0])
    again = {**good, "run": best["runs"][0][:8], "says": "Once more."}
    found = checked(bundle, [good] * 9 + [again])
    assert (found.checked, found.held, len(found.document["claims"])) == (1, 1, 1)
    coarse, wrong = {**good, "value": f"{best['mean']:.3f}"}, {**good, "value": "0.1234"}
    found = checked(bundle, [good, coarse, wrong, wrong])
    assert (found.checked, found.held, len(found.document["claims"])) == (2, 1, 3)


def test_mlflow_is_named_only_where_it_was_asked(mlflow_server: Mlflow, bundle: Path) -> None:
    claims = [claim("val_accuracy", "0.5", run="0" * 32)]
    assert "Looked up in MLflow" not in shown(checked(bundle, claims))
    assert "Looked up in the analysis: 1 claim, 0 held." in shown(checked(bundle, claims))
    asked = checked(bundle, claims, uri=mlflow_server.uri)
    assert "Looked up in MLflow: 1 claim, 0 held." in shown(asked)
