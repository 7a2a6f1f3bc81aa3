"""Which configs there are, what their models are called, how they are dealt out."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlactions.errors import UserError
from mlactions.evaluate.plan import shards
from tests.evaluate_support import PROJECT, Repository, chosen, plan_for


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.make(tmp_path / "repo", PROJECT)


def test_odd_names_are_told_apart_and_safe(tmp_path: Path) -> None:
    names = (
        "a b.yaml",
        "größe.yaml",
        "-x.yaml",
        "ViT.yaml",
        "vit.yaml",
        "it's.yaml",
        'q".yaml',
        "模型.yaml",
    )
    files = {f"configs/{name}": "a: 1\n" for name in names} | {"more/vit.yaml": "", "e.py": ""}
    repository = Repository.make(tmp_path / "repo", files)

    plan = plan_for(repository, select="all", configs=("configs/*", "more/*"))
    models = [choice.config.model for choice in plan.selected]

    assert len({model.casefold() for model in models}) == len(names) + 1
    assert all(model[0].isalnum() and model.isascii() for model in models)
    assert {"a-b", "gr-e", "x", "it-s", "q-", "more.vit"} <= set(models)
    assert sum("is called" in note for note in plan.notes) == len(names) + 1


def test_configs_leave_out_the_baseline_and_what_is_excluded(repository: Repository) -> None:
    repository.write({"configs/baseline.yaml": "version: 1\n", "configs/smoke.yaml": ""})

    plan = plan_for(repository, select="all", configs=("configs/*.yaml", "!configs/smoke*"))

    assert set(chosen(plan)) == {"cnn", "vit"}


OWN = ("configs/sweep.yaml", "configs/drift.yaml", "configs/sweeps/first/trials/0001.yaml")


def test_files_of_sweep_and_drift_are_no_models(repository: Repository) -> None:
    repository.write(dict.fromkeys(OWN, "version: 1\n"))
    base = repository.commit()

    plan = plan_for(
        repository, select="all", configs=("configs/*.yaml", "configs/sweeps/**/*.yaml")
    )
    assert set(chosen(plan)) == {"cnn", "vit"}
    assert plan.notes == (
        (
            "`configs/drift.yaml`, `configs/sweep.yaml` and 1 more are files of `sweep` or `drift`,"
            " not model configs: they are left out. A path in `configs` without a pattern takes it."
        ),
    )
    two = plan_for(repository, select="all")
    assert two.notes[0].startswith("`configs/drift.yaml` and `configs/sweep.yaml` are files of")
    named = plan_for(repository, select="all", configs=("configs/*.yaml", "configs/sweep.yaml"))
    assert named.notes[0].startswith("`configs/drift.yaml` is a file of")
    assert set(chosen(named)) == {"cnn", "vit", "sweep"}

    (repository.root / "configs/sweep.yaml").unlink()
    assert plan_for(repository, base_ref=base).removed == ()


BASELINE = "version: 1\nmodels: {cnn: {metrics: {accuracy: {value: 1, direction: higher}}}}\n"
LOOKALIKE = "version: 1\nmodels: {backbone: {layers: 4}, head: {metrics: [accuracy]}}\n"


def test_a_baseline_under_another_name_is_no_model(repository: Repository) -> None:
    repository.write({"configs/baseline.yaml": BASELINE, "configs/two.yaml": LOOKALIKE})

    plan = plan_for(repository, select="all", baseline="nope.yaml")

    assert set(chosen(plan)) == {"cnn", "vit", "two"}
    assert plan.notes == (
        "The baseline `nope.yaml` does not exist: no metric is shown first.",
        "`configs/baseline.yaml` is a baseline, not a model config: it is left out.",
    )
    named = plan_for(repository, select="all", baseline="./configs/baseline.yaml")
    assert (set(chosen(named)), named.notes) == ({"cnn", "vit", "two"}, ())


@pytest.mark.parametrize("globs", [("!configs/x*",), ("configs/*.yaml", "!configs/*")])
def test_configs_that_leave_nothing_are_refused(
    repository: Repository, globs: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="leaves nothing to evaluate"):
        plan_for(repository, configs=globs)


@pytest.mark.parametrize("glob", ["../*.yaml", "/etc/*.yaml", "missing/*.yaml", "configs/x.yaml"])
def test_configs_that_match_nothing_or_lead_out_are_refused(
    repository: Repository, glob: str
) -> None:
    with pytest.raises(UserError, match="`configs`"):
        plan_for(repository, configs=("configs/*.yaml", glob))


def test_more_configs_than_allowed_are_refused(repository: Repository) -> None:
    with pytest.raises(UserError, match="2 configs are to be evaluated, and `max-configs` is 1"):
        plan_for(repository, select="all", max_configs=1)
    assert len(plan_for(repository, select="all", max_configs=2).selected) == 2
    assert len(plan_for(repository, select="all", max_configs=1, matrix_only=True).selected) == 2


def test_a_shard_evaluates_what_it_names(repository: Repository) -> None:
    repository.commit({"configs/vit.yaml": "a: 1\n"})

    plan = plan_for(repository, only=("configs/cnn.yaml",))

    assert chosen(plan) == {"cnn": "named by `only`"}
    with pytest.raises(UserError, match="`only` names 'configs/no"):
        plan_for(repository, only=("configs/no.yaml",))


def test_what_is_named_by_hand_needs_no_base(repository: Repository) -> None:
    plan = plan_for(repository, only=("configs/cnn.yaml",), base_ref="")

    assert (chosen(plan), plan.notes) == ({"cnn": "named by `only`"}, ())
    also = plan_for(repository, only=("configs/cnn.yaml",), base_ref="", also_base=True)
    assert also.notes == ("`base-ref` is not given.",)


@pytest.mark.parametrize(
    ("count", "most", "jobs"), [(0, 256, 0), (1, 256, 1), (300, 256, 256), (5, 2, 2)]
)
def test_shards_hold_every_config_once(count: int, most: int, jobs: int) -> None:
    paths = [f"configs/{number}.yaml" for number in range(count)]

    include = shards(paths, most)["include"]

    assert len(include) == jobs
    assert [item["shard"] for item in include] == [str(n) for n in range(1, jobs + 1)]
    assert sorted(path for item in include for path in item["configs"].splitlines()) == sorted(
        paths
    )
    sizes = [len(item["configs"].splitlines()) for item in include]
    assert not sizes or max(sizes) - min(sizes) <= 1
