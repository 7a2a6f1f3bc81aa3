"""Models that keep a state or refuse a batch; examples and weights from elsewhere.

One process of the Python with torch answers all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlactions.errors import Exit, UserError
from mlactions.export.outcome import Answer
from tests.exported import answers, in_torch, make_project

ROWS = ("x: float32[batch,4]",)
SCALE: dict[str, Any] = {"model": "zoo:Scale", "example_inputs": ROWS}

_REGISTER = """
import mlflow, torch, zoo
torch.save(zoo.Scale().state_dict(), "scale.pt")
mlflow.set_tracking_uri("sqlite:///mlflow.db")
experiment = mlflow.create_experiment("e", artifact_location="artifacts")
with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_artifact("scale.pt", "weights")
client = mlflow.MlflowClient()
client.create_registered_model("scale")
client.create_model_version("scale", f"runs:/{run.info.run_id}/weights", run.info.run_id)
client.set_registered_model_alias("scale", "champion", "1")
print(run.info.run_id)
"""

Answered = dict[str, Callable[[], Answer]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("models") / "project")


@pytest.fixture(scope="module")
def run(project: Path) -> str:
    """Record a run with a checkpoint, register it, and return the run's id."""
    return in_torch(_REGISTER, project).split()[-1]


@pytest.fixture(scope="module")
def answered(project: Path, run: str) -> Answered:
    asked: dict[str, dict[str, Any]] = {
        **{name: {**SCALE, "model": f"zoo:{name}"} for name in FAILING},
        "counting": {**SCALE, "model": "zoo:Counting"},
        "ticking": {**SCALE, "model": "zoo:Ticking"},
        "picky": {**SCALE, "model": "zoo:Picky"},
        "star": {
            "model": "zoo:Star",
            "example_inputs": ("left: float32[batch,4]", "right: float32[batch,4]"),
        },
        "named": {
            "model": "zoo:Named",
            "example_inputs": ("mask: bool[batch,4]", "x: float32[batch,4]"),
        },
        "brief": {**SCALE, "model": "zoo:Brief"},
        "stubborn": {**SCALE, "model": "zoo:Stubborn"},
        "sized": {**SCALE, "example_inputs": ("zoo:examples",)},
        "unsized": {**SCALE, "example_inputs": ("zoo:bare_examples",)},
        "file": {
            "model": "zoo:Classifier",
            "example_inputs": ("tokens.npz",),
            "dynamic": ("tokens[batch,words]",),
            "axes": ("words=1..9",),
        },
        "run": {**SCALE, "checkpoint": f"mlflow:runs:/{run}/weights/scale.pt"},
        "alias": {**SCALE, "checkpoint": "mlflow:models:/scale@champion"},
        "gone": {**SCALE, "checkpoint": "mlflow:models:/scale@gone"},
    }
    np.savez(project / "tokens.npz", tokens=np.arange(12).reshape(3, 4) % 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
        return answers(project, project.parent / "answers", asked)


FAILING = {
    "FixedBatch": ("static-shape", "return doubled.reshape(2, 2, 2)", "is fixed at 2"),
    "Narrow": ("static-shape", "if x.shape[0] > 5:", "holds for 1 to 5 only"),
    "Noisy": ("random-operator", "return scaled + torch.rand_like(scaled)", "rand_like"),
    "Bessel": ("unsupported-operator", "return torch.special.bessel_j0(halved)", "bessel_j0"),
}
"""The class of a failure, the line it is said to lie at, and words of the message."""


@pytest.mark.parametrize("name", FAILING)
def test_a_failure_names_its_class_and_the_line(name: str, answered: Answered) -> None:
    kind, line, words = FAILING[name]
    failure = answered[name]().failure
    assert failure is not None
    assert (failure.kind, failure.file) == (kind, "zoo.py")
    shown = {source.line: source.text.strip() for source in failure.source}
    assert shown[failure.line or 0] == line
    assert words in failure.message


def arrays(project: Path, name: str, answer: Answer) -> list[tuple[dict[str, int], Any]]:
    """Return the axes of every case, and its inputs."""
    folder = project.parent / "answers" / name
    return [(case["axes"], np.load(folder / case["inputs"])) for case in answer.given["cases"]]


def test_a_model_that_keeps_a_state_is_no_function(answered: Answered) -> None:
    failure = answered["counting"]().failure
    assert failure is not None
    assert failure.kind == "random-operator"
    assert "keeps a state between calls" in failure.message


def test_a_state_that_hardly_shows_is_named(answered: Answered) -> None:
    answer = answered["ticking"]()
    assert answer.failure is None
    assert answer.given["model"]["state"] == ["ticks"]
    assert answered["stubborn"]().given["model"]["state"] == []


def test_a_batch_that_the_model_refuses_is_named(answered: Answered) -> None:
    failure = answered["picky"]().failure
    assert failure is not None
    assert failure.kind == "forward-raised"
    assert "ValueError: seven is too many, given x [7, 4] (random)" in failure.message
    assert failure.file == "zoo.py"


def test_a_model_that_stays_in_training_is_forced_out_of_it(answered: Answered) -> None:
    answer = answered["stubborn"]()
    assert answer.failure is None
    assert answer.given["model"]["training_modules"] == ["drop"]


def test_inputs_go_where_the_signature_wants_them(answered: Answered, project: Path) -> None:
    star, named = answered["star"](), answered["named"]()
    assert [tensor["name"] for tensor in star.given["inputs"]] == ["left", "right"]
    assert [tensor["name"] for tensor in named.given["inputs"]] == ["x", "mask"]
    folder = project.parent / "answers" / "named"
    case = named.given["cases"][0]
    inputs, found = np.load(folder / case["inputs"]), np.load(folder / case["reference"])
    assert list(found) == ["y"]
    np.testing.assert_array_equal(found["y"], np.where(inputs["mask"], 0, inputs["x"] * 2))
    case = star.given["cases"][0]
    assert list(np.load(project.parent / "answers" / "star" / case["reference"])) == [
        *("total", "doubled"),
    ]


def test_an_output_that_no_array_holds_is_refused(answered: Answered) -> None:
    with pytest.raises(UserError, match="returns `output` as torch"):
        answered["brief"]()


def test_a_function_is_asked_for_every_batch(answered: Answered, project: Path) -> None:
    answer = answered["sized"]()
    assert answer.given["inputs"][0]["shape"] == ["batch", 4]
    for axes, found in arrays(project, "sized", answer):
        assert found["x"].shape == (axes["batch"], 4)
    rows = arrays(project, "sized", answer)[8][1]["x"]
    assert len(np.unique(rows)) == rows.size == 16 * 4


def test_rows_of_an_example_are_drawn_again(answered: Answered, project: Path) -> None:
    answer = answered["unsized"]()
    found = arrays(project, "unsized", answer)
    assert answer.given["inputs"][0]["name"] == "x"
    assert {axes["batch"] for axes, _ in found} == {1, 2, 3, 7, 16, 64}
    for case, (axes, inputs) in zip(answer.given["cases"], found, strict=True):
        assert inputs["x"].shape == (axes["batch"], 4)
        assert case["values"] != "random" or set(inputs["x"][:, 0]) <= {0.0, 4.0, 8.0}


def test_a_file_gives_shapes_and_the_range_of_integers(answered: Answered, project: Path) -> None:
    answer = answered["file"]()
    assert answer.given["inputs"] == [
        {"name": "tokens", "dtype": "int64", "shape": ["batch", "words"], "low": 0, "high": 6}
    ]
    for axes, inputs in arrays(project, "file", answer):
        assert inputs["tokens"].shape == (axes["batch"], axes["words"])
        assert inputs["tokens"].max() <= 6


@pytest.mark.parametrize("name", ["run", "alias"])
def test_mlflow_gives_a_checkpoint(name: str, answered: Answered, run: str) -> None:
    answer = answered[name]()
    assert answer.failure is None
    assert answer.given["run"] == run
    assert answer.given["checkpoint"]["source"].startswith("mlflow:")
    assert answer.given["checkpoint"]["tensors"] == 2


def test_what_mlflow_does_not_have_is_bad_input(answered: Answered) -> None:
    with pytest.raises(UserError, match="MLflow has nothing there") as caught:
        answered["gone"]()
    assert caught.value.exit_code == Exit.BAD_INPUT
