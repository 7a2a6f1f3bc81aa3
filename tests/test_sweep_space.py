"""Reading search spaces: W&B's keys, Hydra's strings, Optuna's distributions; and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mlactions.errors import UserError
from mlactions.schema import schema
from mlactions.strict_yaml import parse_yaml
from mlactions.sweep.domains import Choice, Glob, Numbers
from mlactions.sweep.trials import STARTUP
from tests.sweep_support import space, values

RANDOM = "method: random\nrun_cap: 4\nparameters:\n  x: "


def domain(text: str) -> Any:
    return space(RANDOM + text).parameters[0].domain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{value: 3}", Choice((3,))),
        (
            "{values: [1, 2.5, adam, null, true, [1, 2], {a: 1}]}",
            Choice((1, 2.5, "adam", None, True, [1, 2], {"a": 1})),
        ),
        ("{values: [1, 2], probabilities: [0.25, 0.75]}", Choice((1, 2), (0.25, 0.75))),
        ("{distribution: categorical, values: [1, 2]}", Choice((1, 2))),
        ("{distribution: constant, value: 1}", Choice((1,))),
        ("{min: 1, max: 9}", Numbers("uniform", 1, 9, integer=True)),
        ("{min: 1.0, max: 9.0}", Numbers("uniform", 1.0, 9.0)),
        ("{min: 0, max: 1.5}", Numbers("uniform", 0, 1.5)),
        ("{distribution: q_uniform, min: 0, max: 1, q: 0.25}", Numbers("uniform", 0, 1, step=0.25)),
        ("{distribution: log_uniform_values, min: 1e-5, max: 0.1}", Numbers("log", 1e-5, 0.1)),
        ("{distribution: inv_log_uniform_values, min: 1, max: 10}", Numbers("inverse-log", 1, 10)),
        ("{distribution: normal, mu: 3, sigma: 2}", Numbers("normal", mu=3, sigma=2)),
        ("{distribution: q_normal, mu: 3}", Numbers("normal", mu=3, step=1)),
        ("{distribution: log_normal}", Numbers("log-normal", 0.0)),
        ("{type: float, low: 0.1, high: 1, log: true}", Numbers("log", 0.1, 1, aligned=True)),
        (
            "{type: int, low: 1, high: 9, step: 2}",
            Numbers("uniform", 1, 9, step=2, integer=True, aligned=True),
        ),
        ("{type: categorical, choices: [a, b]}", Choice(("a", "b"))),
        ("choice(1, 2, 3)", Choice((1, 2, 3))),
        ("1,2,3", Choice((1, 2, 3))),
        ('"adam, sgd"', Choice(("adam", "sgd"))),
        ("range(1, 9, 4)", Choice((1, 5))),
        ("range(0, 1, 0.5)", Choice((0.0, 0.5))),
        ("interval(0, 1)", Numbers("uniform", 0.0, 1.0)),
        ("tag(log, interval(0.001, 1))", Numbers("log", 0.001, 1.0)),
        ("int(interval(1, 5))", Numbers("uniform", 1, 5, integer=True)),
        ("glob(*)", Choice((), glob=Glob(("*",)))),
        ("'glob([a*, b*], exclude=a1)'", Choice((), glob=Glob(("a*", "b*"), ("a1",)))),
        ("sort(3, 1, 2)", Choice((1, 2, 3))),
        ("{hydra: 'choice(1, 2)'}", Choice((1, 2))),
        ("adam", Choice(("adam",))),
        ("0.5", Choice((0.5,))),
        ("null", Choice((None,))),
    ],
)
def test_every_syntax_has_one_meaning(text: str, expected: Any) -> None:
    assert domain(text) == expected


def test_wandb_exponents_are_of_e() -> None:
    found = domain("{distribution: log_uniform, min: -2, max: 0}")
    assert found.family == "log"
    assert found.low == pytest.approx(0.1353352832)
    assert found.high == 1.0
    inverse = domain("{distribution: inv_log_uniform, min: 0, max: 2}")
    assert (inverse.low, inverse.high) == (pytest.approx(0.1353352832), 1.0)


def test_shuffle_is_seeded_by_the_file() -> None:
    text = "parameters:\n  x: shuffle(range(0, 50))\nsampler_seed: {}\n"
    first, again = values(text.format(1)), values(text.format(1))
    assert first == again != values(text.format(2))
    assert sorted(item["x"] for item in first) == list(range(50))


def test_nested_parameters_have_dotted_names() -> None:
    found = space(
        "parameters:\n  training:\n    parameters:\n"
        "      a: {value: 1}\n      b: {parameters: {c: {value: 2}}}\n"
    )
    assert [item.key for item in found.parameters] == ["training.a", "training.b.c"]


def test_the_keys_of_wandb_all_work() -> None:
    found = space(
        """\
program: train.py
entity: team
project: digits
name: my sweep
description: what for
method: bayes
metric: {name: loss, goal: minimize, target: 0.1}
run_cap: 30
command:
  - ${env}
  - ${interpreter}
  - ${program}
  - --data=${envvar:DATA}
  - ${args}
parameters:
  lr: {distribution: log_uniform_values, min: 0.001, max: 0.1}
"""
    )
    assert found.method == "tpe"
    assert found.run_cap == 30
    assert found.metric is not None
    assert found.metric.target == 0.1
    assert any("TPE" in note for note in found.notes)
    assert sum("no effect" in note for note in found.notes) == 2


def test_seeds_among_the_parameters_are_seeds() -> None:
    found = space("parameters:\n  lr: {values: [1]}\n  seed: {values: [3, 4]}\n")
    assert found.seeds == (3, 4)
    assert [item.key for item in found.parameters] == ["lr"]


def test_wandbs_first_example_needs_no_cap() -> None:
    text = "program: train.py\nmethod: bayes\nmetric: {name: loss, goal: minimize}\n"
    found = space(text + "parameters:\n  lr: {min: 0.0001, max: 0.1}\n")
    assert "no `run_cap`: `sweep next` proposes trials as often as it is asked" in found.notes
    assert len(values(text + "parameters:\n  lr: {min: 0.0001, max: 0.1}\n")) == STARTUP


def test_hydra_sweeper_params_of_a_config_are_read() -> None:
    found = space("hydra:\n  sweeper:\n    params:\n      lr: choice(1,2)\nmodel: x\n")
    assert [item.key for item in found.parameters] == ["lr"]
    assert any("model" in note for note in found.notes)


def test_conditions_order_the_parameters() -> None:
    found = space("parameters:\n  a: {values: [1], when: {b: 2}}\n  b: {values: [1, 2]}\n")
    assert [item.key for item in found.parameters] == ["b", "a"]


PARAMETER = "parameters:\n  lr: "
BAD = {
    "nothing": ("", "empty search space", None),
    "no parameters": ("parameters: {}\n", "there are none", 1),
    "unknown key": ("methd: grid\nparameters: {a: 1}\n", "Did you mean `method`", 1),
    "unknown method": ("method: byes\nparameters: {a: 1}\n", "Did you mean `bayes`", 1),
    "early stopping": ("early_terminate: {type: hyperband}\nparameters: {a: 1}\n", "is refused", 1),
    "min above max": (PARAMETER + "{min: 2, max: 1}\n", "`min` is 2 and `max` is 1", 2),
    "min alone": (PARAMETER + "{min: 2}\n", "`max` is missing", 2),
    "infinite grid": (PARAMETER + "{min: 0.0, max: 1.0}\n", "infinite grid", 2),
    "infinite bound": (RANDOM + "{min: 0.0, max: .inf}\n", "finite", 4),
    "log of zero": (RANDOM + "{distribution: log_uniform_values, min: 0, max: 1}\n", "above 0", 4),
    "huge exponents": (
        RANDOM + "{distribution: log_uniform, min: 1, max: 5000}\n",
        "log_uniform_values",
        4,
    ),
    "misspelt constraint": (PARAMETER + "{valeus: [1]}\n", "Did you mean `values`", 2),
    "wrong constraint": (PARAMETER + "{values: [1], q: 2}\n", "means nothing for `categorical`", 2),
    "two syntaxes": (PARAMETER + "{values: [1], low: 2}\n", "cannot stand beside", 2),
    "a bare list": (PARAMETER + "[1, 2]\n", "a list says too little", 2),
    "no value": (PARAMETER + "{when: {a: 1}}\n  a: 1\n", "has no values", 2),
    "empty values": (PARAMETER + "{values: []}\n", "parameters.lr.values", 2),
    "probabilities": (RANDOM + "{values: [1, 2], probabilities: [0.5, 0.6]}\n", "add up to 1.1", 4),
    "too few of them": (
        RANDOM + "{values: [1, 2], probabilities: [1]}\n",
        "1 probabilities for 2",
        4,
    ),
    "hydra grammar": (PARAMETER + "choice(1,\n", "Hydra cannot read", 2),
    "hydra tag": (RANDOM + "tag(big, interval(0, 1))\n", "the tag 'big'", 4),
    "reversed interval": (RANDOM + "interval(2, 1)\n", "starts at 2 and ends at 1", 4),
    "endless range": (PARAMETER + "range(0, 1, 0)\n", "step of the range is 0", 2),
    "empty range": (PARAMETER + "range(3, 1)\n", "is empty", 2),
    "hydra's settings": ("parameters:\n  hydra.run.dir: {value: x}\n", "not part of a search", 2),
    "no name": ("parameters:\n  a b: {value: x}\n", "Hydra cannot read this name", 2),
    "name clash": ("parameters:\n  a: {values: [1]}\n  a.b: {values: [1]}\n", "name clash", 3),
    "twice": ("parameters:\n  a.b: 1\n  a:\n    parameters: {b: 2}\n", "name clash", 2),
    "with a plus": ('parameters:\n  a: 1\n  "+a": 2\n', "name clash", 2),
    "duplicate key": ("parameters:\n  a: 1\n  a: 2\n", "duplicate key", 3),
    "circle": (
        "parameters:\n  a: {value: 1, when: {b: 1}}\n  b: {value: 1, when: {a: 1}}\n",
        "in a circle",
        2,
    ),
    "unknown condition": (
        PARAMETER + "{value: 1, when: {modle: 1}}\n  model: 1\n",
        "Did you mean `model`",
        2,
    ),
    "never true": (
        PARAMETER + "{value: 1, when: {m: vti}}\n  m: {values: [vit]}\n",
        "never has the value 'vti'",
        2,
    ),
    "unknown exclude": ("parameters: {a: 1}\nexclude:\n  - {b: 1}\n", "no such parameter", 3),
    "random without a cap": ("method: random\nparameters: {a: 1}\n", "needs `run_cap`", 1),
    "cap below the seeds": (
        "method: random\nrun_cap: 1\nseeds: 2\nparameters: {a: 1}\n",
        "2 seeds",
        2,
    ),
    "sobol without a cap": ("method: sobol\nparameters: {a: 1}\n", "needs `run_cap`", 1),
    "tpe without a metric": (
        "method: tpe\nrun_cap: 2\nparameters: {a: 1}\n",
        "TPE needs `metric`",
        1,
    ),
    "no seeds": ("seeds: 0\nparameters: {a: 1}\n", "less than the minimum", 1),
    "seeds twice": (
        "seeds: [1]\nparameters: {a: 1, seed: {min: 1, max: 3}}\n",
        "takes the seeds already",
        2,
    ),
    "missing marker": (PARAMETER + "{values: ['???']}\n", "missing", 2),
    "zero byte": (PARAMETER + '{values: ["\\0"]}\n', "zero byte", 2),
    "no arguments": ("command: [python, train.py]\nparameters: {a: 1}\n", "nothing takes", 1),
    "json arguments": ("command: [a, '${args_json}']\nparameters: {a: 1}\n", "is refused", 1),
    "unknown macro": ("command: [a, '${agrs}']\nparameters: {a: 1}\n", "Did you mean `args`", 1),
    "no program": (
        "command: ['${program}', '${args}']\nparameters: {a: 1}\n",
        "`program` is missing",
        1,
    ),
    "a tiny step": (PARAMETER + "{min: 0, max: 1, q: 1.0e-300}\n", "too small a step", 2),
    "more steps than counted": (
        PARAMETER + "{min: 0, max: 1.0e+308, q: 1.0e-5}\n",
        "finite number",
        2,
    ),
    "a range without a width": (
        RANDOM + "{min: -1.0e+308, max: 1.0e+308, distribution: uniform}\n",
        "finite number",
        4,
    ),
    "e to the 880": (RANDOM + "{distribution: log_normal, mu: 800, sigma: 10}\n", "exponents", 4),
    "steps up to it": (RANDOM + "{distribution: q_log_normal, mu: 800}\n", "exponents of e", 4),
    "a huge integer": (RANDOM + f"{{type: int, low: 1, high: 1{'0' * 20}}}\n", "too large", 4),
    "its logarithm": (
        RANDOM + f"{{type: int, low: 1, high: 1{'0' * 20}, log: true}}\n",
        "large",
        4,
    ),
    "W&B's": (RANDOM + f"{{distribution: int_uniform, min: 1, max: 1{'0' * 22}}}\n", "large", 4),
    "400 digits": (RANDOM + f"{{min: 1, max: 1{'0' * 400}}}\n", "a finite number", 4),
    "an endless interval": (RANDOM + "interval(0, inf)\n", "finite", 4),
    "no limit at all": ("parameters: {a: 1}\nbudget: {gpu_hours: .nan}\n", "budget.gpu_hours", 2),
    "endless money": ("parameters: {a: 1}\nbudget: {money: .inf}\n", "a finite number", 2),
    "much memory": ("parameters: {a: 1}\nresources: {memory_gb: 1.0e+20}\n", "maximum", 2),
    "endless hours": ("parameters: {a: 1}\nresources: {hours: .inf}\n", "a finite number", 2),
    "GPUs that are none": ("parameters: {a: 1}\nresources: {gpus: .nan}\n", "resources.gpus", 2),
    "a target that is none": (
        "parameters: {a: 1}\nmetric: {name: x, target: .nan}\n",
        "metric.target",
        2,
    ),
    "a condition that is none": (
        PARAMETER + "{value: 1, when: {a: {min: .nan}}}\n  a: 1\n",
        "a finite number",
        2,
    ),
    "not yaml": ("parameters: [\n", "not valid YAML", 2),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_spaces_are_refused_with_file_line_and_field(name: str) -> None:
    text, message, line = BAD[name]
    with pytest.raises(UserError) as caught:
        space(text)
    assert message in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("sweep.yaml", line)


def test_what_looks_like_a_limit_may_be_a_value_or_a_name() -> None:
    found = space(
        "parameters:\n  max: {values: [.inf, 1]}\n  gpus: .inf\n  b: {value: {q: .inf}}\n"
    )
    assert [item.key for item in found.parameters] == ["max", "gpus", "b"]


def test_the_schema_is_one_and_takes_what_is_read(tmp_path: Path) -> None:
    validator = Draft202012Validator(schema("sweep"))
    Draft202012Validator.check_schema(schema("sweep"))
    good = parse_yaml(
        RANDOM + "{min: 0, max: 1, when: {y: [1, 2]}}\n  y: {values: [1, 2]}\n", name="x"
    )
    assert not list(validator.iter_errors(good))
    assert list(validator.iter_errors({"parameters": {"a": {"valeus": [1]}}}))
    assert json.dumps(schema("sweep"))
