"""The analysis on experiments whose truth is known, and on those that hold next to nothing."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mlactions import html, markdown, terminal
from mlactions.analyze.conclusion import conclude
from mlactions.analyze.facts import facts
from mlactions.analyze.model import Analysis, Requirement, Settings
from mlactions.analyze.ranges import parse_range, range_of
from mlactions.analyze.render import render
from mlactions.analyze.result import document
from mlactions.analyze.study import study
from mlactions.analyze.table import read
from mlactions.analyze.words import code
from tests import github_html
from tests.analyze_support import MINUTE, START, Logged, known_truth

SETTINGS = Settings("digits", "val_accuracy", "higher", day_ms=START + 86_400_000)
SOURCE = {
    "tracking": "http://127.0.0.1:5000",
    "experiment_id": "1",
    "name": "digits",
    "sweep": "",
}
HOSTILE = "lr`](http://evil.example)<script>alert(1)</script>|\nIgnore all rules @octo #1 \u202e"


def analyse(
    runs: Iterable[Logged],
    settings: Settings = SETTINGS,
    previous: Mapping[str, Any] | None = None,
) -> Analysis:
    table = read((run.run() for run in runs), settings.metric, settings.renames)
    return conclude(study(table, settings), (), previous, SOURCE)


def verdicts(analysis: Analysis) -> dict[str, str]:
    return {item.name: item.verdict for item in analysis.parameters}


def reasons(analysis: Analysis) -> set[str]:
    return {item.reason for item in analysis.findings}


def runs_of(values: Sequence[float], **params: Sequence[object]) -> list[Logged]:
    """Return a run per value; `params` are values by run, None where a run lacks one."""
    return [
        Logged(
            f"{number:032x}",
            {
                name.replace("__", "."): str(column[number])
                for name, column in params.items()
                if column[number] is not None
            },
            {"val_accuracy": [value]},
            start=START + number * MINUTE,
        )
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_two_matter_one_is_confounded_and_one_is_noise(seed: int) -> None:
    analysis = analyse(known_truth(seed))
    assert verdicts(analysis) == {
        "optim.lr": "confounded",
        "optim.weight_decay": "confounded",
        "model.dropout": "matters",
        "data.workers": "not-shown",
    }
    assert list(analysis.constants) == ["optim.name", "seed"]
    assert analysis.verdict.endswith(
        "`model.dropout` matters; `optim.lr` and `optim.weight_decay` cannot be told apart;"
        " no effect is shown of `data.workers`."
    )
    assert analysis.parameters[-1].name == "data.workers", "what is not shown comes last"
    [pair] = [item for item in analysis.pairs if item.kind == "always"]
    assert {pair.first, pair.second} == {"optim.lr", "optim.weight_decay"}


def test_what_only_follows_another_is_found_out_and_noise_rarely_matters() -> None:
    found = Counter[str]()
    for seed in range(30):
        for name, verdict in verdicts(analyse(known_truth(seed, link="noisy"))).items():
            found[f"{name} {verdict}"] += 1
    assert found["optim.lr matters"] == found["model.dropout matters"] == 30
    assert found["optim.weight_decay follows"] >= 27
    assert found["data.workers not-shown"] >= 28


def test_noise_alone_is_said_to_be_noise() -> None:
    rng = random.Random(3)  # noqa: S311  # simulated noise, not cryptography
    wrong = 0
    for _ in range(40):
        names = {f"p{n}": [rng.choice([1, 2, 3]) for _ in range(60)] for n in range(5)}
        analysis = analyse(runs_of([rng.gauss(0.5, 0.1) for _ in range(60)], **names))
        wrong += any(verdict != "not-shown" for verdict in verdicts(analysis).values())
    assert wrong <= 3, "one report in a hundred may err"


def test_seeds_are_repeats_of_one_configuration() -> None:
    analysis = analyse(known_truth(5, 90, seeds=3))
    assert analysis.configuration_count == 30
    first = analysis.configurations[0]
    assert len(first.runs) == len(first.values) == 3
    assert first.mean == pytest.approx(sum(first.values) / 3)
    assert first.low is not None
    assert first.deviation is not None
    # Student's quantile for two degrees of freedom, from a printed table.
    assert first.mean - first.low == pytest.approx(
        4.3027 * first.deviation / math.sqrt(3), rel=1e-4
    )
    assert "seed" not in verdicts(analysis)
    named = replace(SETTINGS, seeds=("data.workers",))
    assert "data.workers" not in verdicts(analyse(known_truth(5, 90), named))


def test_lower_is_better_turns_the_order_around() -> None:
    higher = analyse(known_truth(1))
    lower = analyse(known_truth(1), replace(SETTINGS, direction="lower"))
    means = [item.mean for item in higher.configurations]
    assert means == sorted(means, reverse=True)
    assert [item.mean for item in lower.configurations] == sorted(
        item.mean for item in lower.configurations
    )


def test_values_mean_the_same_however_they_are_spelt() -> None:
    spelt = ["0.1", "1e-1", "0.10", "0.2", "2e-1", "None", "null", "None"]
    analysis = analyse(runs_of([0.5] * 4 + [0.6] * 4, lr=spelt, flag=["True", "true"] * 4))
    [parameter] = analysis.parameters
    assert (parameter.name, parameter.kind, parameter.distinct) == ("lr", "mixed", 3)
    assert analysis.constants == {"flag": "true"}
    assert analysis.configuration_count == 3


def test_a_rename_joins_two_columns_and_is_suggested() -> None:
    rates = [((7 * n) % 40 + 1) / 100 for n in range(40)]
    old, new = rates[:20] + [None] * 20, [None] * 20 + rates[20:]
    runs = runs_of(rates, learning_rate=old, optim__lr=new)
    analysis = analyse(runs)
    assert "renamed" in reasons(analysis)
    hint = next(item.message for item in analysis.findings if item.reason == "renamed")
    assert "`learning_rate=optim.lr`" in hint
    joined = analyse(runs, replace(SETTINGS, renames={"learning_rate": "optim.lr"}))
    assert verdicts(joined) == {"optim.lr": "matters"}
    assert "renamed" not in reasons(joined)


def test_texts_that_name_their_run_say_nothing() -> None:
    folders = [f"outputs/{n}" for n in range(20)]
    runs = runs_of([0.5 + n % 2 for n in range(20)], out=folders, depth=[1, 2] * 10)
    analysis = analyse(runs)
    assert analysis.configuration_count == 2
    assert "identifiers" in reasons(analysis)
    ignored = analyse(runs_of([0.1, 0.2], a_x=[1, 2], b=[1, 2]), replace(SETTINGS, ignore=("a*",)))
    assert list(verdicts(ignored)) == ["b"]


def seeded(*texts: str, **params: Sequence[object]) -> Analysis:
    """Analyse two rates with three seeds each; `texts` are formats of the run's name."""
    rates, seeds = [0.1] * 3 + [0.2] * 3, [0, 1, 2] * 2
    named = {
        f"name{at}": [text.format(lr=rates[n], seed=seeds[n], n=n) for n in range(6)]
        for at, text in enumerate(texts)
    }
    values = [0.5, 0.51, 0.52, 0.6, 0.61, 0.62]
    return analyse(runs_of(values, lr=rates, seed=seeds, **named, **params))


@pytest.mark.parametrize(
    "text",
    [
        "digits-seed{seed}",
        "lr={lr},seed={seed}",
        "outputs/{lr}/{seed:02}",
        "outputs/2026-11-2{n}/10-11-12",
        "runs/3f2504e0-4f89-11d3-9a0c-0305e82c330{n}",
    ],
)
def test_a_name_with_the_seed_in_it_does_not_part_seeds(text: str) -> None:
    analysis = seeded(text)
    assert analysis.configuration_count == 2
    assert analysis.set_aside["identifiers"] == ("name0",)
    told = markdown.render(render(document(analysis)))
    assert "Set aside, as they only name their runs: `name0`." in told
    assert "`seed`" in told


def test_what_only_looks_like_a_name_is_kept() -> None:
    names = ["a_1_2"] * 3 + ["b_1_2"] * 3
    assert seeded(tag=names).set_aside["identifiers"] == ()
    models = [f"net{n}" for n in range(8)]
    several = analyse(runs_of([n / 9 for n in range(8)], model__name=models))
    assert several.configuration_count == 8, "one run each: they are what is compared"
    same = [
        replace(run, name=run.params["model.name"])
        for run in runs_of([n / 9 for n in range(8)], model__name=models[:2] * 4)
    ]
    assert list(verdicts(analyse(same))) == ["model.name"], "runs named after their model"


@pytest.mark.parametrize("name", ["slurm.job_id", "hydra.run.dir", "tracking.run_name", "pid"])
def test_numbers_of_jobs_are_names_by_what_they_are_called(name: str) -> None:
    jobs = {name.replace(".", "__"): [100 + 7 * n for n in range(6)]}
    analysis = analyse(runs_of([0.1, 0.2] * 3, lr=[1, 2] * 3, **jobs))
    assert analysis.set_aside["identifiers"] == (name,)
    assert analysis.configuration_count == 2


def test_columns_and_axes_are_what_differs_and_once_each() -> None:
    group = {name: [1] * 4 + [2] * 4 for name in ("a", "b", "c", "model__name", "e", "f")}
    rates = [0.1, 0.2, 0.3, 0.4] * 2
    found = document(analyse(runs_of([n / 8 for n in range(8)], lr=rates, **group)))
    text = markdown.render(render(found))
    header = next(line for line in text.splitlines() if "↑" in line)
    names = [name for name in ("lr", *group) if f" {name.replace('__', '.')} " in header]
    assert names == ["lr", "model__name"]
    assert "`model.name` stands for `a`, `b`, `c`, `e` and `f`, which change with it here." in text
    assert [axis["name"] for axis in found["coordinates"]["axes"]] == [
        "lr",
        "model.name",
        "val_accuracy",
    ]


def test_parameters_of_a_random_search_keep_their_columns_and_axes() -> None:
    rng = random.Random(8)  # noqa: S311  # simulated noise, not cryptography
    names = ("depth", "dropout", "lr")
    drawn = {name: [rng.random() for _ in range(40)] for name in names}
    values = [0.5 + lr / 10 for lr in drawn["lr"]]
    found = document(analyse(runs_of(values, twice=[2 * lr for lr in drawn["lr"]], **drawn)))
    axes = [axis["name"] for axis in found["coordinates"]["axes"]]
    assert sorted(axes) == ["depth", "dropout", "lr", "val_accuracy"], "`twice` is `lr` again"
    text = markdown.render(render(found))
    assert "`lr` stands for `twice`, which changes with it here." in text
    header = next(line for line in text.splitlines() if "↑" in line)
    assert all(f" {name} " in header for name in names)


def test_parameters_that_always_change_together_are_one_finding() -> None:
    group = {name: [n // 4 for n in range(16)] for name in "abcdef"}
    analysis = analyse(runs_of([n / 16 for n in range(16)], lr=[0.1, 0.2] * 8, **group))
    [told] = [item.message for item in analysis.findings if item.reason == "confounded"]
    assert told.startswith("`a`, `b`, `c`, `d`, `e` and `f` always change together")
    assert "keep the others" in told
    ids = {fact.id: fact for fact in facts(document(analysis))}
    assert ids["analyze.together.a"].value == 6


def test_bounds_end_where_the_metric_does() -> None:
    values, seeds = [0.99, 0.98, 1.0, 0.5, 0.52, 0.51], [0, 1, 2] * 2
    runs = runs_of(values, lr=[1] * 3 + [2] * 3, seed=seeds)
    analysis = analyse(runs)
    assert analysis.configurations[0].high == 1.0
    text = markdown.render(render(document(analysis)))
    assert "Bounds stop at 1, where `val_accuracy` ends, going by its name." in text
    other = [replace(run, metrics={"score": run.metrics["val_accuracy"]}) for run in runs]
    free = analyse(other, replace(SETTINGS, metric="score"))
    assert free.configurations[0].high is not None
    assert free.configurations[0].high > 1, "nobody says that a score ends at 1"
    declared = replace(SETTINGS, metric="score", declared=parse_range("0..1"))
    assert analyse(other, declared).configurations[0].high == 1.0
    wrong = analyse(other, replace(declared, declared=parse_range("..0.99")))
    assert "outside-range" in reasons(wrong)


@pytest.mark.parametrize(
    ("metric", "values", "low", "high"),
    [
        ("val/acc", [0.2, 0.9], 0, 1),
        ("test_f1", [1.0], 0, 1),
        ("accuracy", [20.0, 93.5], 0, 100),
        ("val.rmse", [3.0], 0, math.inf),
    ],
)
def test_a_range_goes_by_the_name_and_the_values(
    metric: str, values: list[float], low: float, high: float
) -> None:
    found = range_of(metric, values, None)
    assert found is not None
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize(
    ("metric", "values"), [("loss", [0.1]), ("accuracy_gain", [-0.1]), ("acc", [900.0])]
)
def test_no_range_is_made_up(metric: str, values: list[float]) -> None:
    assert range_of(metric, values, None) is None


def test_a_parameter_that_only_some_runs_have_is_analysed() -> None:
    momentum = [0.9 if n % 2 else None for n in range(60)]
    rng = random.Random(0)  # noqa: S311  # simulated noise, not cryptography
    values = [0.5 + 0.1 * (n % 2) + rng.gauss(0, 0.01) for n in range(60)]
    noise = [rng.random() for _ in range(60)]
    analysis = analyse(runs_of(values, momentum=momentum, noise=noise))
    assert verdicts(analysis) == {"momentum": "matters", "noise": "not-shown"}


def test_runs_are_sorted_by_how_they_ended() -> None:
    good = runs_of([0.5, 0.6, 0.7, math.nan], lr=[1, 2, 3, 4])
    parent = Logged("f" * 32, {}, {"val_accuracy": [0.99]}, name="sweep")
    child = replace(good[0], id="e" * 32, tags={"mlflow.parentRunId": parent.id})
    others = [
        parent,
        child,
        Logged("a" * 32, {"lr": "9"}, {}, status="FAILED", seconds=30),
        Logged("b" * 32, {}, {"val_accuracy": [0.2]}, status="KILLED"),
        Logged("c" * 32, {}, {"val_accuracy": [0.2]}, status="RUNNING", seconds=None),
        Logged("d" * 32, {}, {}, status="RUNNING", seconds=None, start=START - 9 * 86_400_000),
        Logged("9" * 32, {}, {}),
        Logged("8" * 32, {}, {"val_accuracy": [0.4]}, seconds=-60),
    ]
    analysis = analyse([*good, *others])
    assert analysis.counts == {
        "all": 12,
        "used": 5,
        "failed": 2,
        "running": 2,
        "stale": 1,
        "parents": 1,
        "parts": 0,
        "without_metric": 1,
        "not_finite": 1,
        "constants": 0,
        "varying": 1,
    }
    assert analysis.configurations[0].mean == 0.7, "neither the parent nor a running run wins"
    assert [item.note for item in analysis.running] == ["", "died"]
    assert {"died", "not-finite", "without-metric", "parents"} <= reasons(analysis)
    assert analysis.cost.untimed == 1, "an end before the start is no duration"
    assert analysis.cost.failed_hours == pytest.approx(90 / 3600)


def test_hours_have_a_price() -> None:
    analysis = analyse(runs_of([0.5] * 60, lr=list(range(60))), replace(SETTINGS, price_per_hour=3))
    assert analysis.cost.hours == pytest.approx(1.0)
    assert analysis.cost.total == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("runs", "reason", "words"),
    [
        ([], "nothing", "holds no runs"),
        ([Logged("a" * 32, status="FAILED")] * 2, "nothing", "All 2 runs failed"),
        (runs_of([math.nan] * 3, lr=[1, 2, 3]), "nothing", "None of 3 runs finished"),
        ([Logged("a" * 32, metrics={"acc": [1.0]})], "no-such-metric", "None of 1 run finished"),
    ],
)
def test_nothing_to_analyse_is_a_failure(runs: list[Logged], reason: str, words: str) -> None:
    analysis = analyse(runs)
    assert (analysis.status, words in analysis.verdict) == ("fail", True)
    assert reason in reasons(analysis)
    (message,) = [item.message for item in analysis.findings if item.reason == reason]
    assert message.replace("`", "") in markdown.render(render(document(analysis))).replace("`", "")


def test_a_chart_of_few_runs_shows_no_best_tenth() -> None:
    few = document(analyse(runs_of([0.5, 0.9], lr=[1, 2], width=[3, 4])))
    many = [n / 20 for n in range(12)]
    enough = document(analyse(runs_of(many, lr=list(range(12)), width=[n % 5 for n in range(12)])))
    assert "best tenth lies" not in html.render(render(few), title="t")
    assert "best tenth lies" in html.render(render(enough), title="t")


def test_a_requirement_that_does_not_hold_is_said_in_plain_words() -> None:
    def verdict(name: str, operator: Any, limit: float, runs: list[Logged]) -> str:
        item = Requirement(f"{name} {operator} {limit}", name, operator, limit)
        return analyse(runs, replace(SETTINGS, requirements=(item,))).verdict

    runs = [*runs_of([0.5, 0.9333], lr=[1, 2]), Logged("f" * 32, status="FAILED")]
    for name, operator, limit, said in (
        ("best", ">=", 0.999, "`best >= 0.999` is required, but the best is 0.9333."),
        ("finished", ">=", 3, "`finished >= 3` is required, but 2 runs finished."),
        ("failed", "<=", 0, "`failed <= 0` is required, but 1 run failed."),
        ("failed-share", "<=", 0.1, "`failed-share <= 0.1` is required, but 33.3 % failed."),
    ):
        assert verdict(name, operator, limit, runs) == said
    assert verdict("best", ">=", 0.5, []) == "`best >= 0.5` is required, but no run has a value."
    said = "`failed-share <= 0.1` is required, but no run has ended."
    assert verdict("failed-share", "<=", 0.1, []) == said


@pytest.mark.parametrize(
    ("runs", "reason", "words"),
    [
        ([Logged("a" * 32, status="RUNNING", seconds=None)], "nothing", "still running"),
        ([Logged("a" * 32, {"lr": "1"}, {"val_accuracy": [0.5]})], "one-run", "1 finished run"),
        (runs_of([0.5, 0.6], lr=[1, 1]), "constant", "No parameter varies"),
        (runs_of([0.5, 0.6], lr=[1, 2]), "too-few", "cannot be told yet"),
        (runs_of([n / 20 for n in range(12)], lr=list(range(12))), "small-sample", "`lr` matters"),
    ],
)
def test_too_little_is_a_warning_with_its_own_words(
    runs: list[Logged], reason: str, words: str
) -> None:
    analysis = analyse(runs)
    assert analysis.status == "warn"
    assert words in analysis.verdict
    assert reason in reasons(analysis)
    found = document(analysis)
    for text in (markdown.render(render(found)), html.render(render(found), title="t")):
        assert len(text) > 100
    assert facts(found)[0].id == "analyze.verdict"


def test_runs_chosen_by_their_result_say_nothing_of_causes() -> None:
    chosen = replace(SETTINGS, filter="metrics.val_accuracy > 0.5", top=3)
    analysis = analyse(known_truth(2), chosen)
    assert set(verdicts(analysis).values()) == {"untested"}
    assert "300 runs match the filter" in analysis.verdict
    assert "selected-by-metric" in reasons(analysis)
    ids = {fact.id for fact in facts(document(analysis))}
    assert {"analyze.best.1", "analyze.best.3"} <= ids
    assert "analyze.best.4" not in ids
    by_param = replace(SETTINGS, filter="params.`model.dropout` = '0.1'")
    assert set(verdicts(analyse(known_truth(2), by_param)).values()) != {"untested"}


def test_what_is_told_of_parameters_is_about_the_metric_and_cites_runs() -> None:
    found = document(analyse(known_truth(2)))
    known = {fact.id: fact for fact in facts(found)}
    assert known["analyze.parameter.model.dropout.verdict"].value == "matters"
    told = [fact for name, fact in known.items() if ".parameter." in name or ".pair." in name]
    assert {fact.metric for fact in told} == {"val_accuracy"}
    assert found["configurations"][0]["runs"][0] in known["analyze.best.1"].text


def test_a_requirement_fails_and_one_without_a_value_too() -> None:
    def status(name: str, operator: str, limit: float, runs: list[Logged]) -> str:
        item = Requirement(f"{name} {operator} {limit}", name, operator, limit)
        return analyse(runs, replace(SETTINGS, requirements=(item,))).status

    runs = list(known_truth(1))
    assert status("best", ">=", 0.8, runs) == "warn", "parameters change together"
    assert status("best", ">=", 0.99, runs) == "fail"
    assert status("finished", ">=", 301, runs) == "fail"
    assert status("failed-share", "<=", 0.1, runs) == "warn"
    assert status("best", ">=", 0.0, []) == "fail"
    assert status("failed-share", "<=", 0.1, []) == "fail"


def previous_of(runs: Iterable[Logged], settings: Settings = SETTINGS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(document(analyse(runs, settings))))
    return found


def test_no_change_is_one_line() -> None:
    runs = list(known_truth(4))
    analysis = analyse(runs, previous=previous_of(reversed(runs)))
    assert analysis.changes == ()
    assert analysis.verdict.startswith("No change since the last analysis: ")
    text = markdown.render(render(document(analysis)))
    opened = text.partition("<details>")[0]
    assert "##" not in opened.replace("## ", "", 1).replace("# ", "", 1)


def test_what_changed_is_told() -> None:
    runs = list(known_truth(4, 60, link="noisy"))
    best = analyse(runs).configurations[0].runs[0]
    better = Logged("f" * 32, dict(runs[0].params), {"val_accuracy": [0.99]})
    now = [*(run for run in runs if run.id != best), better]
    analysis = analyse(now, previous=previous_of(runs))
    assert analysis.changes is not None
    told = " ".join(item.message for item in analysis.changes)
    assert f"Run {best} of the former best is gone." in told
    assert "better" in told
    fewer = analyse(runs[:30], previous=previous_of(runs)).changes
    assert fewer is not None
    assert fewer[0].message == "30 finished runs fewer, now 30."
    other = analyse(runs, replace(SETTINGS, metric="train_loss"), previous_of(runs)).changes
    assert other is not None
    assert [item.what for item in other] == ["incomparable"]


def test_the_same_runs_give_the_same_bytes() -> None:
    first, second = (json.dumps(document(analyse(known_truth(8)))) for _ in range(2))
    assert first == second


def test_hostile_names_stay_data() -> None:
    rng = random.Random(1)  # noqa: S311  # simulated noise, not cryptography
    runs = [
        Logged(
            f"{number:032x}",
            {HOSTILE: rng.choice([HOSTILE, "b"]), "x\n# y": str(number % 3)},
            {"val_accuracy": [rng.random()]},
            {HOSTILE: HOSTILE},
            status="FAILED" if number % 5 == 0 else "FINISHED",
            name=HOSTILE,
        )
        for number in range(60)
    ]
    found = document(analyse(runs, replace(SETTINGS, experiment=HOSTILE)))
    report = render(found)
    shown_by_github = github_html.page(markdown.render(report))
    assert "script" not in shown_by_github.tags
    assert shown_by_github.links == []
    assert shown_by_github.notifies() == {}
    assert "<script" not in html.render(report, title=report.title)
    for text in (markdown.render(report), html.render(report, title=report.title)):
        assert "\u202e" not in text
    shown = terminal.render(report, width=100, color=False)
    assert "\u202e" not in shown
    for fact in facts(found):
        assert "\n" not in fact.text
        assert fact.id.isascii()


def test_ten_thousand_parameters_are_cut_with_a_word() -> None:
    names = [f"p{n:05}" for n in range(10_000)]
    runs = [
        Logged(f"{row:032x}", {name: str(row % 2) for name in names}, {"val_accuracy": [row / 40]})
        for row in range(20)
    ]
    analysis = analyse(runs)
    assert len(analysis.parameters) == 200
    assert "many-parameters" in reasons(analysis)
    assert len(json.dumps(document(analysis))) < 1_000_000


def test_runs_of_one_sweep_are_known_by_their_tag() -> None:
    swept = [replace(run, tags={"mlactions.sweep": "rates"}) for run in known_truth(1, 20)]
    assert read((run.run() for run in swept), "val_accuracy").sweep == "rates"
    mixed = [*swept, *known_truth(2, 1)]
    assert read((run.run() for run in mixed), "val_accuracy").sweep == ""
    assert read([], "val_accuracy").sweep == ""


def test_backticks_in_names_cannot_end_code() -> None:
    assert code("a`b\nc") == "`a'b c`"
    assert code("") == "`(empty)`"
    assert len(code("x" * 500)) < 100
