"""Which trials a space has: methods, conditions, one hash for equal configurations."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from statistics import pstdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.sweep.cost import Spent, beyond_budget, estimate, over_budget
from mlactions.sweep.coverage import Coverage
from mlactions.sweep.domains import Numbers
from mlactions.sweep.identity import canonical_value
from mlactions.sweep.jobs import MAX_INPUT, listed, matrix, one_line, ranges, train_matrix
from mlactions.sweep.tpe import Observed, propose
from mlactions.sweep.trials import Base, Bases, Hasher, make_trials, settings_of, size
from mlactions.sweep.user.sweep_trials import Attempt, numbers_in, state_of
from tests.sweep_support import space, values

ROOT = Path(__file__).resolve().parents[1]


def test_a_grid_changes_its_last_parameter_fastest() -> None:
    found = values("parameters:\n  a: {values: [1, 2]}\n  b: {values: [x, y]}\n")
    assert found == [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]


def test_hydras_eight_jobs_for_three_configurations_are_three() -> None:
    text = "parameters:\n  a: 1,1,2,3\n  lr: choice(0.1,0.10)\n"
    assert [item["a"] for item in values(text)] == [1, 2, 3]


def test_a_million_trials_are_made_one_at_a_time() -> None:
    found = space("parameters:\n  a: {min: 1, max: 1000000000}\n  b: {values: [1, 2]}\n")
    assert size(found) == 2_000_000_000
    trials = make_trials(found, Bases())
    assert [dict(next(trials).values) for _ in range(3)][2] == {"a": 2, "b": 1}


def test_conditions_and_exclusions() -> None:
    found = values(
        """\
parameters:
  optimizer: {values: [adam, sgd]}
  momentum: {values: [0.8, 0.9], when: {optimizer: sgd}}
  nesterov: {values: [true, false], when: {momentum: {min: 0.85}}}
exclude:
  - {optimizer: adam}
  - {momentum: 0.8, optimizer: sgd}
"""
    )
    assert found == [
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
        {"optimizer": "sgd", "momentum": 0.9, "nesterov": False},
    ]


def test_one_and_true_are_not_the_same_condition() -> None:
    found = values("parameters:\n  a: {values: [1, true]}\n  b: {value: 5, when: {a: true}}\n")
    assert found == [{"a": 1}, {"a": True, "b": 5}]


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_the_same_file_gives_the_same_trials(method: str) -> None:
    text = f"""\
method: {method}
run_cap: 40
parameters:
  lr: {{distribution: log_uniform_values, min: 0.0001, max: 1}}
  width: {{min: 1, max: 1000}}
  act: {{values: [relu, gelu]}}
sampler_seed: """
    first = values(f"{text}1")
    assert first == values(f"{text}1")
    assert first != values(f"{text}2")
    assert len({item["lr"] for item in first}) == 40
    assert all(0.0001 <= item["lr"] <= 1 for item in first)


def test_sobol_covers_each_parameter_evenly() -> None:
    found = space(
        "method: sobol\nrun_cap: 64\n"
        "parameters:\n  a: {min: 0.0, max: 1.0}\n  b: {min: 0.0, max: 8.0}\n"
    )
    trials = list(make_trials(found, Bases()))
    for key, top in (("a", 1.0), ("b", 8.0)):
        counts = Counter(int(trial.values[key] / top * 8) for trial in trials)
        assert set(counts.values()) == {8}


def test_random_draws_stop_where_a_space_is_small() -> None:
    found = values("method: random\nrun_cap: 50\nparameters:\n  a: {values: [1, 2, 3]}\n")
    assert sorted(item["a"] for item in found) == [1, 2, 3]


def test_weights_are_followed() -> None:
    weighted = "  a: {values: [1, 2], probabilities: [0, 1]}\n  b: {min: 0.0, max: 1.0}\n"
    text = f"method: random\nrun_cap: 1000\nparameters:\n{weighted}"
    assert {item["a"] for item in values(text)} == {2}


def test_seeds_repeat_each_configuration() -> None:
    found = list(
        make_trials(space("seeds: 2\nrun_cap: 4\nparameters:\n  a: {values: [1, 2, 3]}\n"), Bases())
    )
    assert [(trial.number, trial.values["a"], trial.seed) for trial in found] == [
        (1, 1, 0),
        (2, 1, 1),
        (3, 2, 0),
        (4, 2, 1),
    ]
    assert found[0].hash == found[1].hash != found[2].hash


@given(st.sampled_from(["log", "uniform", "inverse-log"]), st.floats(0, 1, exclude_max=True))
def test_values_stay_within_their_bounds(family: Any, point: float) -> None:
    for domain in (
        Numbers(family, 0.001, 7.5),
        Numbers(family, 0.3, 7.5, step=0.25),
        Numbers("log" if family == "log" else "uniform", 1, 9, integer=True),
        Numbers("uniform", 1, 10, integer=True, step=4, aligned=True),
    ):
        value = domain.at(point)
        assert domain.low <= value <= domain.high
        if domain.integer:
            assert type(value) is int
        elif domain.step:
            assert math.isclose(value / 0.25, round(value / 0.25), abs_tol=1e-9)


def test_steps_are_multiples_for_wandb_and_counted_from_low_for_optuna() -> None:
    wandb = Numbers("uniform", 0.3, 1.0, step=0.25).levels()
    optuna = Numbers("uniform", 0.3, 1.0, step=0.25, aligned=True).levels()
    assert list(wandb or ()) == [0.5, 0.75, 1.0]
    assert list(optuna or ()) == [0.3, 0.55, 0.8]


WHOLE = """\
metric: {name: loss}
run_cap: 12
parameters:
  epochs: {distribution: q_uniform, q: 8, min: 32, max: 256}
  width: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
"""
NORMAL = "  delay: {distribution: q_normal, mu: 100, sigma: 20, q: 5}\n"


@pytest.mark.parametrize("method", ["grid", "random", "sobol", "tpe"])
def test_multiples_of_a_whole_number_are_whole_as_in_wandb(method: str) -> None:
    text = f"method: {method}\n{WHOLE}" + (NORMAL if method != "grid" else "")
    found = values(text)
    if method == "tpe":
        seen = [Observed(item, float(item["epochs"])) for item in found]
        found = [dict(item) for item in islice(propose(space(text), seen), 5)]
    numbers = [number for item in found for number in item.values()]
    assert {type(number) for number in numbers} == {int}
    assert all(32 <= item["epochs"] <= 256 and item["epochs"] % 8 == 0 for item in found)
    assert len({item["width"] for item in found}) > 1
    floats = values(f"method: {method}\n{WHOLE}".replace("q: 8", "q: 8.0"))
    assert type(floats[0]["epochs"]) is float


BASE = Base("f", settings_of({"lr": 0.1, "model": {"width": 8}, "names": ["a"]}))


def digest(text: str, **values_: Any) -> str:
    return Hasher(space(text), Bases(frozenset(), {(): BASE})).hash(values_)


def test_equal_configurations_have_one_hash() -> None:
    text = "parameters: {lr: {values: [1]}, model.width: {values: [1]}, names: {values: [1]}}\n"
    spelt_out = digest(text, **{"model.width": 8, "lr": 0.1, "names": ["a"]})
    assert spelt_out == digest(text)
    assert digest(text, **{"model.width": 16.0}) == digest(text, **{"model.width": 16})
    assert digest(text, lr=1e-1, **{"model.width": 4}) == digest(text, **{"model.width": 4})
    assert digest(text, lr=0.2) != digest(text)
    assert digest(text, lr="0.1") != digest(text)
    assert digest(text, lr=True) != digest(text, lr=1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_a_value_has_one_spelling(value: Any) -> None:
    text = canonical_value(value)
    assert canonical_value(json.loads(json.dumps(value))) == text
    assert canonical_value([value, 1.0]) == canonical_value([value, 1])


def test_tpe_proposes_the_same_for_the_same_runs_and_learns() -> None:
    found = space(
        """\
method: tpe
run_cap: 100
metric: {name: loss}
parameters:
  x: {min: -5.0, max: 5.0}
  kind: {values: [a, b]}
  extra: {distribution: normal, when: {kind: b}}
exclude: [{kind: b, x: {min: 4}}]
"""
    )
    seen: list[Observed] = []
    for _ in range(40):
        tried = dict(next(propose(found, seen)))
        assert tried == dict(next(propose(found, seen)))
        assert not (tried["kind"] == "b" and tried["x"] >= 4)
        assert ("extra" in tried) == (tried["kind"] == "b")
        loss = (tried["x"] - 2) ** 2 + (tried["kind"] == "b")
        seen.append(Observed(tried, loss))
    assert min(item.mean for item in seen if item.mean is not None) < 0.1


def test_what_tpe_proposes_at_once_lies_apart() -> None:
    head = "method: tpe\nmetric: {name: m}\nparameters:\n"
    found = space(f"{head}  x: {{min: -5.0, max: 5.0}}\n")
    seen: list[Observed] = []
    for _ in range(40):
        tried = dict(next(propose(found, seen)))
        seen.append(Observed(tried, (tried["x"] - 2) ** 2))
    for _ in range(16):
        seen.append(Observed(dict(next(propose(found, seen)))))  # all run at the same time
    assert pstdev(item.values["x"] for item in seen[40:]) > 1  # 0.3 where each is asked alone


def test_tpe_knows_every_distribution() -> None:
    parameters = "\n".join(
        f"  p{place}: {text}"
        for place, text in enumerate(
            (
                "{distribution: q_log_uniform_values, min: 1, max: 100, q: 5}",
                "{distribution: log_normal}",
                "{distribution: inv_log_uniform_values, min: 1, max: 10}",
                "{type: int, low: 1, high: 9, step: 2}",
                "{type: int, low: 1, high: 64, log: true}",
                "{min: 1, max: 9}",
                "{values: [[1, 2], {a: 1}, null, true]}",
            )
        )
    )
    found = space(f"method: tpe\nrun_cap: 30\nmetric: {{name: m}}\nparameters:\n{parameters}\n")
    seen: list[Observed] = []
    for number in range(14):
        tried = dict(next(propose(found, seen)))
        for parameter in found.parameters:
            levels = parameter.domain.levels()
            assert levels is None or tried[parameter.key] in list(levels)
        seen.append(Observed(tried, None if number == 3 else float(number), failed=number == 4))


def test_budget_counts_what_is_left_and_says_what_is_missing() -> None:
    head = "parameters: {a: 1}\nresources: {gpus: 2}\nbudget: "
    known = space(
        head
        + "{trials: 5, gpu_hours: 10, money: 20, hours_per_trial: 1, price_per_gpu_hour: 1.5}\n"
    )
    found = estimate(known, 6, Spent())
    assert (found.gpu_hours, found.money) == (12, 18)
    assert len(over_budget(known, found)) == 2
    half = Spent(runs=3, median=0.5)
    assert not over_budget(known, estimate(known, 5, half))
    assert estimate(known, 6, half).gpu_hours == 6
    unknown = space(head + "{gpu_hours: 10, money: 20}\n")
    assert len(over_budget(unknown, estimate(unknown, 1, Spent()))) == 2


def test_a_budget_is_for_what_was_spent_and_what_is_left() -> None:
    known = space(
        "parameters: {a: 1}\nresources: {gpus: 2}\n"
        "budget: {trials: 5, gpu_hours: 10, money: 20, price_per_gpu_hour: 2}\n"
    )
    before = Spent(trials=3, hours=3, runs=3, median=1.0)
    assert not over_budget(known, estimate(known, 2, before))
    assert over_budget(known, estimate(known, 3, before)) == [
        "3 trials are left to run, after 3 that have run, and the budget is 5",
        "they take 6.0 GPU hours, after 6.0 that were spent, and the budget is 10",
        "they cost 12.00 USD, after 12.00 that were spent, and the budget is 20",
    ]
    assert not over_budget(
        known, estimate(known, 0, Spent(9, 99, 9, 11.0))
    )  # nothing more is asked


def test_a_budget_is_also_for_what_runs() -> None:
    known = space("parameters: {a: 1}\nbudget: {gpu_hours: 10, hours_per_trial: 1}\n")
    assert not over_budget(known, estimate(known, 8, Spent(running=2)))
    assert over_budget(known, estimate(known, 8, Spent(running=10))) == [
        "they take 8.0 GPU hours, after 10.0 that were spent, and the budget is 10"
    ]


def test_a_search_that_goes_on_says_what_it_comes_to() -> None:
    known = space(
        "method: bayes\nrun_cap: 40\nmetric: {name: a}\nparameters: {a: {min: 0.0, max: 1.0}}\n"
        "budget: {trials: 10}\n"
    )
    found = estimate(known, 10, Spent())
    assert (found.whole_trials, over_budget(known, found)) == (40, [])
    told = "`run_cap` asks for 40 trials; the budget ends it at 10."
    assert beyond_budget(known, found) == [told]


def test_coverage_counts_each_value() -> None:
    found = space(
        "method: sobol\nrun_cap: 20\n"
        "parameters:\n  a: {min: 0.0, max: 1.0}\n  b: {values: [x, 'y z']}\n"
    )
    coverage = Coverage(found)
    for trial in make_trials(found, Bases()):
        coverage.note(trial)
    a, b = coverage.rows()
    assert a["tenths"] == 10
    assert a["distinct"] == 20
    assert {item["value"] for item in b["values"]} == {"x", "y z"}
    assert sum(item["trials"] for item in b["values"]) == 20


@given(st.sets(st.integers(1, 400)), st.integers(1, 256))
def test_a_matrix_holds_every_trial_once(numbers: set[int], jobs: int) -> None:
    found = matrix(sorted(numbers), max_jobs=jobs)["include"]
    assert len(found) == min(len(numbers), jobs)
    again = [number for item in found for number in numbers_in([item["trials"]], 400) or []]
    assert again == sorted(numbers)
    assert (numbers_in([ranges(list(numbers))], 400) or []) == sorted(numbers)


HOUR = 3_600_000


def test_the_matrix_for_train_has_what_its_template_reads_and_fits_a_dispatch() -> None:
    header = {"sweep": "lr", "config_name": "train", "data": "v1"}
    row = {"name": "0001-" + "a" * 8, "hash": "a" * 64, "seed": 0}
    text = (ROOT / "workflows" / "train.yml").read_text()
    (one,) = train_matrix(header, [row])["include"]
    assert set(one) == set(re.findall(r"\bmatrix\.([a-z]+) ", text))
    assert json.loads(one["tags"]) == {
        "mlactions.sweep": "lr",
        "mlactions.trial": "0001",
        "mlactions.config_hash": "sha256:" + "a" * 64,
        "mlactions.seed": "0",
        "mlactions.data": "v1",
    }
    many = train_matrix(header, [row] * 1000)["include"]
    assert 100 < len(many) < 256
    assert len(one_line({"include": many})) < MAX_INPUT + 100
    assert len(train_matrix(header, [row] * 9, max_jobs=2)["include"]) == 2


def test_a_long_list_is_cut_between_ranges() -> None:
    odd = range(1, 20_001, 2)
    shown = listed(odd)
    assert len(shown) <= 20_000
    assert ranges(odd).startswith(f"{shown},")
    assert listed([1, 2, 3, 7]) == "1-3,7"


@pytest.mark.parametrize(
    ("attempts", "retry", "expected"),
    [
        ([], 0, ("missing", 1)),
        ([Attempt("FINISHED")], 0, ("finished", 0)),
        ([Attempt("FAILED"), Attempt("FINISHED")], 0, ("finished", 0)),
        ([Attempt("FAILED")], 0, ("failed", 0)),
        ([Attempt("FAILED")], 2, ("retry", 2)),
        ([Attempt("FAILED")] * 3, 2, ("failed", 0)),
        ([Attempt("KILLED")] * 9, 0, ("preempted", 1)),
        ([Attempt("FAILED", ended="pre-empted")] * 9, 0, ("preempted", 1)),
        ([Attempt("FINISHED", ended="pre-empted")], 0, ("preempted", 1)),
        ([Attempt("FAILED"), Attempt("KILLED")], 1, ("preempted", 1)),
        ([Attempt("RUNNING", start_ms=99 * HOUR)], 0, ("running", 0)),
        ([Attempt("RUNNING", start_ms=10 * HOUR)], 0, ("preempted", 1)),
        ([Attempt("FAILED"), Attempt("RUNNING", start_ms=99 * HOUR)], 0, ("running", 0)),
    ],
)
def test_states_of_trials(attempts: list[Attempt], retry: int, expected: tuple[str, int]) -> None:
    found = state_of(attempts, retry, 100 * HOUR)
    assert (found.name, found.tries) == expected
