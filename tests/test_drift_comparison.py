"""Drift as pure functions: settings, interpolations, packages, rules, verdicts."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.drift.comparison import compare
from mlactions.drift.config import read_config
from mlactions.drift.deployed import parse_selector
from mlactions.drift.interpolation import resolve
from mlactions.drift.model import (
    Config,
    Deployed,
    Row,
    Rules,
    Selector,
    Setting,
    Settings,
    Unresolved,
)
from mlactions.drift.packages import _rows as package_rows
from mlactions.drift.packages import normal, pins, same_version
from mlactions.drift.places import is_place
from mlactions.drift.result import Context, judge, sentence
from mlactions.drift.rules import parse_rules
from mlactions.errors import UserError
from mlactions.mlflow_store import Run
from mlactions.settings import Status
from mlactions.values import flatten


def config(document: Any) -> Config:
    """Return a configuration as it is read from plain YAML."""
    raw = dict(flatten(document))
    settings = [
        Setting(place, value, raw.get(place, value), "c.yaml", 1)
        for place, value in flatten(resolve(document))
    ]
    return Config("c.yaml", tuple(settings))


def rows(document: Any, params: dict[str, str], rules: Rules | None = None) -> dict[str, Row]:
    return {row.name: row for row in compare(config(document), params, rules or Rules())}


def states(document: Any, params: dict[str, str], rules: Rules | None = None) -> dict[str, str]:
    found = rows(document, params, rules)
    return {name: f"{row.state}/{row.level}" for name, row in found.items()}


def test_each_setting_has_one_row_with_its_state_and_level() -> None:
    document = {
        "optimizer": {"lr": 0.01, "betas": [0.9, 0.99]},
        "data": {"path": "data/train.csv", "classes": ["cat", "dog"]},
        "notes": "x" * 7000,
        "threshold": 0.5,
    }
    params = {
        "optimizer/lr": "0.001",
        "optimizer/betas": "(0.9, 0.99)",
        "data.path": "/home/ci/data/train.csv",
        "data.classes": "['dog', 'cat']",
        "notes": "x" * 6000,
        "scheduler": "cosine",
    }
    assert states(document, params) == {
        "optimizer.lr": "drift/fail",
        "optimizer.betas": "same/none",
        "data.path": "location/notice",
        "data.classes": "order/warn",
        "notes": "beyond/notice",
        "threshold": "unknown/notice",
        "scheduler": "only-logged/notice",
    }


def test_rules_say_what_a_difference_means() -> None:
    rules = parse_rules(
        dedent(
            """
            version: 1
            ignore: [logging, "*.num_workers"]
            severity: {trainer.precision: fail, trainer: warn, "*.seed": none, data.order: notice}
            renames: {optimizer.lr: learning_rate}
            unordered: [data.tags]
            unknown: warn
            only-logged: none
            """
        ),
        name="drift.yaml",
    )
    document = {
        "logging": {"level": "debug", "deep": {"er": 1}},
        "data": {"num_workers": 8, "tags": ["a", "b"], "order": ["a", "b"], "seed": 1},
        "trainer": {"precision": 16, "epochs": 3},
        "optimizer": {"lr": 0.1},
        "new": 1,
    }
    params = {
        "logging.level": "info",
        "logging.deep.er": "2",
        "data.num_workers": "4",
        "data.tags": "['b', 'a']",
        "data.order": "['b', 'a']",
        "data.seed": "2",
        "trainer.precision": "32",
        "trainer.epochs": "5",
        "learning_rate": "1e-1",
        "old": "1",
    }
    assert states(document, params, rules) == {
        "logging.level": "ignored/none",
        "logging.deep.er": "ignored/none",
        "data.num_workers": "ignored/none",
        "data.tags": "same/none",
        "data.order": "order/notice",
        "data.seed": "drift/none",
        "trainer.precision": "drift/fail",
        "trainer.epochs": "drift/warn",
        "optimizer.lr": "same/none",
        "new": "unknown/warn",
        "old": "only-logged/none",
    }
    assert rows(document, params, rules)["optimizer.lr"].logged_as == "learning_rate"


def test_the_rules_of_the_readme_can_be_read() -> None:
    page = (Path(__file__).parents[1] / "actions/drift/README.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    (text,) = [block for block in blocks if block.startswith("version: 1")]
    rules = parse_rules(text, name="configs/drift.yaml")
    assert rules.level("trainer.epochs") == "warn"
    assert rules.level("optimizer.lr") == "notice"
    assert rules.level("model.width") == "fail"
    assert rules.data[0].dataset == "digits"


@pytest.mark.parametrize(
    "text",
    [
        "version: 2\n",
        "ignore: []\n",
        "version: 1\nseverity: {a: error}\n",
        "version: 1\nextra: 1\n",
        "version: 1\ndata: {x: {dataset: a}}\n",
        "version: 1\ndata: {x: {dataset: a, logged: b, key: c}}\n",
        "version: 1\nversion: 1\n",
        "[]\n",
        "",
    ],
)
def test_rules_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_rules(text, name="configs/drift.yaml")
    assert raised.value.file == "configs/drift.yaml"


def test_secrets_are_compared_and_not_shown() -> None:
    document = {"db": {"password": "hunter2", "max_tokens": 512}, "api_token": "abcd", "lr": 1}
    params = {"db.password": "other", "db.max_tokens": "512", "hf.api_key": "xyzz", "lr": "1"}
    document |= {"private_key": "same", "s3": {"access": {"key": "s3cr3t"}}}
    params |= {"private_key": "same", "s3.access.key": "s3crets"}
    found = rows(document, params)
    assert {name: f"{row.state}/{row.level}" for name, row in found.items()} == {
        "db.password": "drift/notice",
        "db.max_tokens": "same/none",
        "api_token": "unknown/notice",
        "lr": "same/none",
        "hf.api_key": "only-logged/notice",
        "private_key": "same/none",
        "s3.access.key": "drift/notice",
    }
    shown = " ".join(f"{row.current} {row.logged}" for row in found.values())
    assert not any(text in shown for text in ("s3cr3t", "s3crets", "hunter2", "other", "abcd"))
    strict = Rules(severity=(("db.password", "fail"),))
    assert rows(document, params, strict)["db.password"].level == "fail"
    assert rows(document, params, Rules(ignore=("db",)))["db.password"].state == "ignored"


def test_a_secret_is_hidden_wherever_another_value_holds_it() -> None:
    document = {
        "db": {"password": "newhunter", "url": "postgresql://u:${db.password}@h/db"},
        "note": "reset ${db.password} soon",
        "mirror": "https://me:pw@mirror.org/simple",
    }
    params = {
        "db.password": "oldhunter",
        "db.url": "postgresql://u:oldhunter@h/db",
        "note": "reset oldhunter soon",
        "mirror": "https://you:pv@mirror.org/simple",
    }
    found = rows(document, params)
    assert {row.state for row in found.values()} == {"drift"}
    shown = " ".join(f"{row.current} {row.logged}" for row in found.values())
    assert not any(text in shown for text in ("hunter", "pw@", "pv@"))
    assert found["note"].current == "reset (hidden) soon"
    assert {row.level for row in found.values()} == {"notice"}, "nothing else differs"
    other = rows({**document, "mirror": "https://me:pw@other.org/simple"}, params)
    assert (other["mirror"].level, other["db.url"].level) == ("fail", "notice")
    assert "mirror.org" in found["mirror"].logged


def test_a_switch_that_only_sounds_like_a_secret_drifts() -> None:
    document = {"model": {"class_token": False}, "data": {"digest": "62e44511"}}
    params = {"model.class_token": "True", "data.digest": "71e99887"}
    assert set(states(document, params).values()) == {"drift/fail"}
    assert rows(document, params)["model.class_token"].current == "false"


def test_a_version_in_quotes_is_no_number() -> None:
    document = {"api": "1.10", "plain": 1.10, "same": "2.0", "rate": "1e-3"}
    params = {"api": "1.1", "plain": "1.1", "same": "2.0", "rate": "0.001"}
    found = rows(document, params)
    assert {name: f"{row.state}/{row.level}" for name, row in found.items()} == {
        "api": "drift/notice",
        "plain": "same/none",
        "same": "same/none",
        "rate": "same/none",
    }
    assert "as numbers only" in found["api"].note


def test_interpolations_are_looked_up_on_both_sides() -> None:
    document = {
        "model": {"name": "cnn", "file": "${.name}.pt", "width": "${base.width}"},
        "base": {"width": 32},
        "copy": "${base}",
        "name": "${model.name}-${base.width}",
        "cache": "${oc.env:CACHE,/tmp}/x",
        "here": "${nowhere.at.all}",
        "must": "???",
        "literal": "\\${kept}",
    }
    params = {
        "model.name": "cnn",
        "model.file": "${model.name}.pt",
        "model.width": "32",
        "base.width": "32",
        "copy.width": "${base.width}",
        "name": "cnn-32",
        "cache": "/scratch/x",
        "here": "1",
        "must": "7",
        "literal": "${kept}",
    }
    found = rows(document, params)
    assert {name for name, row in found.items() if row.state == "same"} == {
        "model.name",
        "model.file",
        "model.width",
        "base.width",
        "copy.width",
        "name",
    }
    notes = {name: row.note for name, row in found.items() if row.state == "unknown"}
    assert notes["cache"] == "the environment decides when the program runs"
    assert notes["here"] == "there is no key `nowhere.at.all`"
    assert notes["must"] == "it must be given on the command line"


def test_what_was_logged_unresolved_is_the_same_as_what_is_written() -> None:
    assert states({"cache": "${oc.env:CACHE}"}, {"cache": "${oc.env:CACHE}"})["cache"] == (
        "same/none"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"a": "${a}"},
        {"a": "${b}", "b": "${a}"},
        {"a": {"x": "${a}"}},
        {f"k{n}": f"${{k{n + 1}}}${{k{n + 1}}}" for n in range(40)} | {"k40": ""},
        {"a": "${" * 5000},
        {"a": "${b", "b": 1},
        {"a": "${..x}"},
        {"a": "${}"},
    ],
)
def test_hostile_interpolations_end(document: Any) -> None:
    found = resolve(document)
    assert any(isinstance(value, Unresolved) for _, value in flatten(found)) or "${" not in str(
        found
    )


@given(
    st.recursive(
        st.none() | st.integers() | st.text("ab${}.:[]\\0", max_size=12),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner),
        max_leaves=10,
    )
)
def test_any_document_can_be_resolved(document: Any) -> None:
    resolve(document)


def test_a_value_that_any_logger_spells_is_no_drift() -> None:
    document = {"a": {"b": [1, 2], "c": None, "d": True}, "e": [{"f": 1e-3}]}
    spellings: list[dict[str, str]] = [
        {"a": "{'b': [1, 2], 'c': None, 'd': True}", "e": "[{'f': 0.001}]"},
        {"a/b": "[1, 2]", "a/c": "None", "a/d": "True", "e/0/f": "0.001"},
        {"a.b.0": "1", "a.b.1": "2", "a.c": "null", "a.d": "true", "e[0].f": "1e-3"},
    ]
    for params in spellings:
        assert set(states(document, params).values()) == {"same/none"}, params


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        ("tag:deployed=true", Selector("tag", "deployed", "true")),
        ("tag:stage.name=prod=eu", Selector("tag", "stage.name", "prod=eu")),
        ("alias:digits cnn@champion", Selector("alias", "digits cnn", "champion")),
        (
            "run:0f9d6858bbe443bf9cf208614620a39d",
            Selector("run", "0f9d6858bbe443bf9cf208614620a39d"),
        ),
    ],
)
def test_the_deployed_run_can_be_named(text: str, selector: Selector) -> None:
    assert parse_selector(text) == selector
    assert str(selector) == text


@pytest.mark.parametrize(
    "text", ["", "deployed=true", "tag:deployed", "alias:x", "run:", "run:a b"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="alias:NAME@champion"):
        parse_selector(text)


def test_requirements_are_read_as_pip_writes_them() -> None:
    text = dedent(
        """
        # locked
        torch==2.13.0+cpu ; python_version >= "3.11"  # why
        scikit_learn[all] == 1.5.0 \\
            --hash=sha256:00
        numpy>=2
        git+https://example.org/x.git
        local @ file:///x
        -r other.txt
        """
    )
    assert pins(text) == {
        "torch": ("2.13.0+cpu", 3),
        "scikit-learn": ("1.5.0", 4),
        "numpy": ("", 6),
    }
    assert normal("Scikit_Learn.X") == "scikit-learn-x"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2.13.0", "2.13.0+cpu", True),
        ("2.13.0+cu121", "2.13.0+cpu", False),
        ("2.0", "2.0.0", True),
        ("2.0", "2.1", False),
        ("1.0.0rc1", "1.0.0", False),
    ],
)
def test_versions(first: str, second: str, same: bool) -> None:
    assert same_version(first, second) is same
    assert same_version(second, first) is same


def deployed(params: dict[str, str], status: str = "FINISHED") -> Deployed:
    return Deployed(Run("a" * 32, "1", status=status, params=params), params)


@pytest.mark.parametrize("params", [{}, {"other": "1"}])
def test_nothing_compared_is_a_failure(params: dict[str, str]) -> None:
    verdict = judge(compare(config({"lr": 1}), params, Rules()), deployed(params))
    assert (verdict.status, verdict.state) == (Status.FAIL, "nothing-compared")


def test_all_ignored_is_a_failure_too() -> None:
    rules = Rules(ignore=("*",))
    verdict = judge(compare(config({"lr": 1}), {"lr": "2"}, rules), deployed({"lr": "2"}))
    assert verdict.status is Status.FAIL


@pytest.mark.parametrize(
    ("params", "status", "expected"),
    [
        ({"lr": "1"}, "FINISHED", Status.PASS),
        ({"lr": "2"}, "FINISHED", Status.FAIL),
        ({"lr": "1"}, "FAILED", Status.WARN),
        ({"lr": "1"}, "RUNNING", Status.WARN),
    ],
)
def test_the_verdict(params: dict[str, str], status: str, expected: Status) -> None:
    verdict = judge(compare(config({"lr": 1}), params, Rules()), deployed(params, status))
    assert verdict.status is expected


@given(st.dictionaries(st.text("abc.", min_size=1, max_size=4), st.text(max_size=8), max_size=6))
def test_every_setting_has_a_row_and_every_row_a_level(params: dict[str, str]) -> None:
    document = {"a": {"b": 1, "c": ["x"]}, "b": "text"}
    found = compare(config(document), params, Rules())
    names = [row.name for row in found]
    assert names[:3] == ["a.b", "a.c", "b"]
    assert len(names) == len(set(names))
    assert all(row.level == "none" for row in found if row.state in {"same", "ignored"})


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# c\nmodel:\n  width: 32\n  layers:\n    - {size: 1}\n")
    given_settings = Settings("c.yaml", tmp_path, Selector("run", "x"), "sqlite:///x")
    found = read_config(given_settings, {})
    assert {setting.key: setting.line for setting in found.settings} == {
        "model.width": 3,
        "model.layers.0.size": 5,
    }


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: 1\na: 2\n", "a: *b\n"])
def test_what_is_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError) as raised:
        read_config(Settings("c.yaml", tmp_path, Selector("run", "x"), "sqlite:///x"), {})
    assert raised.value.file == f"{tmp_path}/c.yaml"


def test_what_the_rules_let_pass_is_no_drift_and_is_told() -> None:
    rules = Rules(severity=(("lr", "notice"), ("version", "none")))
    run = Run("a" * 32, "1", status="FINISHED")
    document, params = {"lr": 0.7, "version": 5, "width": 32}, {"lr": "0.1", "version": "1"}
    found = compare(config(document), {**params, "width": "32"}, rules)
    verdict = judge(found, Deployed(run, params))
    context = Context({}, {"from": "file"}, "sqlite:///x", deployed=Deployed(run, params))
    assert verdict.status is Status.PASS
    assert sentence(verdict, context) == (
        "No drift: 1 setting is as in the deployed run aaaaaaaa. 2 settings differ, by the rules"
        " no drift."
    )
    verdict = judge(found[:1], Deployed(run, params))
    assert sentence(verdict, context) == (
        "No drift that counts from the deployed run aaaaaaaa: 1 setting differs, by the rules no"
        " drift."
    )


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("checkpoint_dir", ("/a", "b"), True),
        ("tracking_uri", ("sqlite:///x.db", ""), True),
        ("data.num_workers", ("0", "4"), True),
        ("data.train", ("/data/train.csv", "./train.csv"), True),
        ("optim.weight_decay", ("0.02", "0.01"), False),
        ("model.path_dropout", ("0.1", "0.2"), False),
        ("model.name", ("vit/small", "vit/base"), False),
        ("data.digest", ("5edc214a", "71e99887"), False),
    ],
)
def test_a_place_is_told_from_a_setting_of_the_model(
    name: str, values: tuple[str, str], *, expected: bool
) -> None:
    assert is_place(name, *values) == expected


def test_what_makes_another_model_is_named_first() -> None:
    document = {"cache_dir": "a", "log_dir": "b", "num_workers": 4, "weight_decay": 0.02}
    params = {"cache_dir": "x", "log_dir": "y", "num_workers": "0", "weight_decay": "0.01"}
    deployed = Deployed(Run("a" * 32, "1", status="FINISHED"), params)
    verdict = judge(compare(config(document), params, Rules()), deployed)
    context = Context({}, {"from": "none"}, "sqlite:///x", deployed=deployed)
    said = sentence(verdict, context)
    assert said.index("weight_decay is 0.02, not 0.01") < said.index("cache_dir")


def test_a_package_that_is_pinned_twice_is_the_same_only_if_both_are() -> None:
    ours = pins(
        'numpy==1.26.4 ; python_version < "3.12"\nnumpy==2.1.0 ; python_version >= "3.12"\n'
        "scipy==1.0\nscipy==1.0.0\ntorch==2.0 ; os_name == 'nt'\ntorch==2.1\n"
    )
    logged = pins("numpy==2.1.0\nscipy==1.0\ntorch==2.13\n")
    found = {row.name: row for row in package_rows(logged, ours, "requirements.txt", Rules())}
    assert {name: row.state for name, row in found.items()} == {
        "numpy": "unknown",
        "scipy": "same",
        "torch": "drift",
    }
    assert found["numpy"].current == "1.26.4, 2.1.0"
