"""Which runs are repeats of one configuration, and which parameters are kept: seen in verdicts."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from mlactions import markdown, mlflow_tags
from mlactions.analyze.model import Parameter, Requirement, RunCurve
from mlactions.analyze.records import Record, Records
from mlactions.analyze.render import render
from mlactions.analyze.result import document
from mlactions.analyze.tracker import Tracker
from mlactions.analyze.words import _influences
from mlactions.confidential import HIDDEN, masked
from mlactions.curves import classify, is_usable
from mlactions.mlflow_store import Run, Store
from tests.analyze_support import MINUTE, START, Logged
from tests.test_analyze import SETTINGS, analyse, previous_of, reasons, runs_of, verdicts

DAY = 24 * 60 * MINUTE


def test_a_text_with_many_levels_is_a_parameter() -> None:
    layers = [str([16 + n, 32]) for n in range(60) for _ in range(3)]
    values = [0.5 + n / 200 + 0.001 * repeat for n in range(60) for repeat in range(3)]
    analysis = analyse(runs_of(values, model__layers=layers, batch=[32, 64, 128] * 60))
    assert verdicts(analysis) == {"model.layers": "matters", "batch": "not-shown"}
    assert analysis.configuration_count == 180


def test_runs_with_a_text_of_their_own_each_are_no_repeats() -> None:
    texts = [f"[{n}, {n * n}]" for n in range(20)]
    analysis = analyse(runs_of([n / 20 for n in range(20)], model__layers=texts, lr=[1, 2] * 10))
    assert analysis.configuration_count == 20
    assert "own-texts" in reasons(analysis)
    few = analyse(runs_of([0.1, 0.2, 0.3], model__layers=texts[:3]))
    assert "own-texts" not in reasons(few)


@pytest.mark.parametrize("name", ["drop_out", "fan_out", "lr.exp", "n_task", "attn.out"])
def test_a_number_that_is_called_like_a_folder_is_a_parameter(name: str) -> None:
    rng = random.Random(5)  # noqa: S311  # simulated noise, not cryptography
    drawn = [rng.random() for _ in range(40)]
    column = {name.replace(".", "__"): drawn}
    analysis = analyse(runs_of([0.5 + value / 3 for value in drawn], **column))
    assert verdicts(analysis) == {name: "matters"}


def test_a_switch_that_is_called_like_a_secret_is_a_parameter() -> None:
    switch = [True, False] * 20
    logged = [
        replace(run, params=masked(run.params))
        for run in runs_of([0.9 if on else 0.6 for on in switch], class_token=switch)
    ]
    assert verdicts(analyse(logged)) == {"class_token": "untested"}, "two configurations"
    hidden = [
        replace(run, params=masked(run.params))
        for run in runs_of([0.1, 0.2], hf_token=["hf_a", "hf_b"], lr=[1, 2])
    ]
    analysis = analyse(hidden)
    assert "hidden" in reasons(analysis)
    assert analysis.set_aside["hidden"] == ("hf_token",)
    assert "`hf_token` holds what looks like a secret: hidden here" in shown(analysis)
    assert "hf_token" not in analysis.constants


def shown(analysis: Any) -> str:
    return markdown.render(render(document(analysis)))


def test_runs_of_one_seed_are_one_value() -> None:
    values = [0.93, 0.93, 0.95, 0.90]
    analysis = analyse(runs_of(values, lr=[0.1, 0.1, 0.1, 0.2], seed=[0, 0, 1, 0]))
    best = analysis.configurations[0]
    assert (best.seeds, best.values, len(best.runs)) == (2, (0.93, 0.95), 3)
    assert best.mean == pytest.approx(0.94)
    assert "over 2 seeds, 3 runs" in analysis.verdict
    same = analyse(runs_of([0.93] * 3, seed=[7, 7, 7])).configurations[0]
    assert (same.seeds, same.low, same.high) == (1, None, None), "a rerun shows no spread"


def test_the_seed_of_a_sweep_is_its_tag() -> None:
    tagged = [
        replace(run, tags={mlflow_tags.SEED: str(at % 2)})
        for at, run in enumerate(runs_of([0.1, 0.2, 0.1, 0.2]))
    ]
    best = analyse(tagged).configurations[0]
    assert (best.seeds, best.values) == (2, (0.1, 0.2))


def test_repeats_of_unknown_seeds_are_called_runs() -> None:
    rates = [0.1, 0.1, 0.2]
    plain = analyse(runs_of([0.5, 0.52, 0.4], lr=rates))
    assert plain.configurations[0].seeds is None
    assert "over 2 runs of unknown seeds" in plain.verdict
    levels = {item.reason: item.level for item in plain.findings}
    assert levels["unknown-seeds"] == "notice"
    assert "Repeats" in shown(plain)
    named = analyse(runs_of([0.5, 0.52, 0.4], lr=rates, out_dir=["a/1", "a/2", "a/3"]))
    levels = {item.reason: item.level for item in named.findings}
    assert levels["unknown-seeds"] == "warn", "what was set aside may be what they differ in"


def family(parents: list[Logged], *children: dict[str, Any]) -> list[Logged]:
    """Return runs with children below each: parameters and value of a child."""
    nested = [
        Logged(
            f"{1000 + 10 * at + position:032x}",
            {key: str(value) for key, value in child.items() if key != "value"},
            {"val_accuracy": [child["value"] + at / 100]},
            {"mlflow.parentRunId": parent.id},
        )
        for at, parent in enumerate(parents)
        for position, child in enumerate(children)
    ]
    return [*parents, *nested]


def test_an_evaluation_below_a_training_is_a_part_of_it() -> None:
    parents = runs_of([0.5 + n % 3 / 10 for n in range(30)], lr=[n % 3 for n in range(30)])
    analysis = analyse(family(parents, {"value": 0.1}, {"split": "test", "value": 0.2}))
    assert (analysis.counts["used"], analysis.counts["parts"]) == (30, 60)
    assert analysis.configurations[0].mean == pytest.approx(0.7)
    assert analysis.counts["parents"] == 0


def test_folds_below_a_run_take_over_its_parameters() -> None:
    parents = [replace(run, metrics={}) for run in runs_of([0.0] * 12, lr=[*range(12)])]
    analysis = analyse(family(parents, *({"fold": n, "value": 0.5 + n / 50} for n in range(5))))
    assert (analysis.counts["used"], analysis.counts["parents"]) == (60, 12)
    assert analysis.configuration_count == 12
    best = analysis.configurations[0]
    assert (best.seeds, best.unit, best.params) == (5, "fold", {"lr": 11.0})
    assert "over 5 folds" in analysis.verdict
    assert "| Folds |" in " ".join(shown(analysis).split())


def test_trials_below_a_search_count_and_the_search_does_not() -> None:
    search = [replace(run, params={"trials": "3"}) for run in runs_of([0.99])]
    found = analyse(family(search, *({"lr": n, "value": n / 10} for n in range(3))))
    assert (found.counts["used"], found.counts["parents"], found.counts["parts"]) == (3, 1, 0)
    assert found.configurations[0].params == {"lr": 2.0}


def test_one_name_that_was_logged_twice_is_told() -> None:
    twice = [
        replace(run, params={"a.b": "1", "a/b": str(at)})
        for at, run in enumerate(runs_of([0.1, 0.2, 0.3]))
    ]
    assert "twice" in reasons(analyse(twice))
    renamed = [replace(run, params={"lr": "1", "learning_rate": "2"}) for run in twice]
    settings = replace(SETTINGS, renames={"learning_rate": "lr"})
    assert "twice" not in reasons(analyse(renamed, settings))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (replace(SETTINGS, seeds=("sead",)), "`sead`, which --seed-params"),
        (replace(SETTINGS, renames={"lrr": "lr"}), "`lrr`, which --rename"),
        (replace(SETTINGS, ignore=("data.*",)), "`data.*`, which --ignore"),
    ],
)
def test_an_option_that_names_no_parameter_is_told(settings: Any, named: str) -> None:
    analysis = analyse(runs_of([0.1, 0.2], lr=[1, 2], seed=[0, 1]), settings)
    told = [item.message for item in analysis.findings if item.reason == "no-such-parameter"]
    assert [named in message for message in told] == [True]
    right = replace(SETTINGS, seeds=("seed",), ignore=("l*",))
    good = analyse(runs_of([0.1, 0.2], lr=[1, 2], seed=[0, 1]), right)
    assert "no-such-parameter" not in reasons(good)


def test_runs_that_died_count_as_failed() -> None:
    dead = [
        Logged(f"{n:032d}", status="RUNNING", start=START - 40 * DAY, seconds=None)
        for n in range(30)
    ]
    runs = [*runs_of([0.5 + n / 100 for n in range(12)], lr=range(12)), *dead]
    share = Requirement("failed-share <= 0.1", "failed-share", "<=", 0.1)
    analysis = analyse(runs, replace(SETTINGS, requirements=(share,), day_ms=START))
    assert (analysis.counts["stale"], analysis.status) == (30, "fail")
    assert "71.4 % failed" in analysis.verdict


def test_a_long_run_goes_on_three_times_as_long_as_the_longest() -> None:
    slow = replace(runs_of([0.5])[0], seconds=4 * 86_400.0)
    alive = Logged("b" * 32, status="RUNNING", start=START, seconds=None)
    at = replace(SETTINGS, day_ms=START + 10 * DAY)
    assert analyse([slow, alive], at).counts["stale"] == 0, "ten days, and one took four"
    later = replace(SETTINGS, day_ms=START + 13 * DAY)
    assert analyse([slow, alive], later).counts["stale"] == 1


@pytest.mark.parametrize(
    "values", [[1e200, 2e200], [1.7e308, 1.7e308], [-1.7e308, 1.7e308], [1e149, 1e150]]
)
def test_numbers_beyond_all_use_stop_nothing(values: list[float]) -> None:
    ordinary = [0.5 + n / 100 for n in range(40)]
    rates = [*(n + 1.0 for n in range(40)), *values]
    analysis = analyse(runs_of([*ordinary, *values], lr=rates))
    assert analysis.counts["not_finite"] == sum(not is_usable(value) for value in values)
    json.dumps(document(analysis), allow_nan=False)
    wide = [(-1.7e308, 1.7e308, 1.0, 2.0)[n % 4] for n in range(40)]
    clipped = document(analyse(runs_of(ordinary, clip=wide, lr=rates[:40])))
    json.dumps(clipped, allow_nan=False)


def test_levels_that_begin_alike_are_told_apart() -> None:
    paths = [f"{'a' * 70}/{end}" for end in ("one", "two", "three")] * 8
    rates = [n / 7 for n in range(24)]
    found = document(analyse(runs_of([n / 24 for n in range(24)], data=paths, lr=rates)))
    axis = next(axis for axis in found["coordinates"]["axes"] if axis["name"] == "data")
    assert len({*axis["levels"]}) == 3


def test_single_values_are_no_chapter_of_curves() -> None:
    curve = RunCurve("a" * 32, "a", "val_accuracy", "best", classify([(0, 0.5)], "higher"))
    found = replace(analyse(runs_of([0.1, 0.2], lr=[1, 2])), curves=(curve,))
    assert "No learning curves: these runs logged one value each." in shown(found)
    assert "Learning curves\n" not in shown(found)


def test_too_few_to_tell_are_no_table_of_dashes() -> None:
    told = shown(analyse(runs_of([0.1, 0.2], lr=[1, 2], opt=["adam", "sgd"])))
    assert "What varies" in told
    assert "not tested" not in told
    assert "| `lr` | 1 … 2 |" in " ".join(told.split(" "))


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, filter="params.lr = '1'"),
        replace(SETTINGS, ignore=("lr",)),
        replace(SETTINGS, seeds=("lr",)),
        replace(SETTINGS, renames={"lr": "rate"}),
    ],
)
def test_an_analysis_of_something_else_is_not_compared(other: Any) -> None:
    runs = runs_of([n / 20 for n in range(20)], lr=range(20))
    changes = analyse(runs, other, previous_of(runs)).changes
    assert changes is not None
    assert [item.what for item in changes] == ["incomparable"]


def test_what_is_judged_otherwise_is_a_change_though_no_run_changed() -> None:
    runs = runs_of([n / 20 for n in range(20)], lr=range(20))
    strict = replace(SETTINGS, requirements=(Requirement("best >= 2", "best", ">=", 2.0),))
    analysis = analyse(runs, strict, previous_of(runs))
    assert not analysis.verdict.startswith("No change")
    assert analysis.changes is not None
    assert analysis.changes[0].message.startswith("The check was ")
    waiting = [*runs, Logged("c" * 32, status="RUNNING", start=START, seconds=None)]
    soon, late = (replace(SETTINGS, day_ms=START + days * DAY) for days in (1, 30))
    died = analyse(waiting, late, previous_of(waiting, soon))
    assert not died.verdict.startswith("No change")
    same = analyse(runs, SETTINGS, previous_of(runs))
    again = analyse(runs, SETTINGS, json.loads(json.dumps(document(same))))
    assert again.changes == (), "its own `No change` is no change of the verdict"


def test_several_that_add_nothing_are_many() -> None:
    def follows(name: str) -> Parameter:
        return Parameter(
            name, "number", 9, 9, "1", "2", "1", verdict="follows", partners=("total",)
        )

    assert _influences([follows("x")]) == "`x` adds nothing beyond `total`."
    assert _influences([follows("x"), follows("y")]) == "`x` and `y` add nothing beyond `total`."


class Holder:
    """A store with one run that was not kept."""

    def run(self, identifier: str) -> Run:
        """Return it, whatever it is asked for."""
        return Logged(identifier, {"db.password": "hunter2", "lr": "0.1"}).run()


def test_a_run_that_is_looked_up_shows_no_secret() -> None:
    result = {"source": {"experiment_id": "1"}, "curves": []}
    store: Any = Holder()
    found = Tracker(Records(), result, store).run("a" * 32)
    assert isinstance(found, Record)
    assert found.params == {"db.password": HIDDEN, "lr": "0.1"}
    assert hasattr(Store, "run"), "the method that stands in for it"
