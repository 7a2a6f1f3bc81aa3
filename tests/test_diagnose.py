"""diagnose: ten ways to train wrongly, really trained; a healthy run; logs, MLflow, bad input."""

from __future__ import annotations

import io
import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlactions.__main__ import run
from mlactions.bundle import seal, write_json
from mlactions.diagnose.causes import RULES, causes_of
from mlactions.diagnose.logs import parse_log
from mlactions.diagnose.model import Sign
from mlactions.diagnose.probes import PROBES
from mlactions.diagnose.roles import roles_of
from mlactions.runner import Runner
from mlactions.schema import validate
from tests.ask_cases import git, write
from tests.mlflow_support import Mlflow

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".tools" / "example" / "bin" / "python"
TRAINING = ROOT / "tests" / "training_failures" / "training.py"
SETUP = "tests.training_failures.training:setup"

# Each failure, the class it must get, how sure, and the probes that it takes.
FAILURES = {
    "learning-rate": ("learning-rate-too-high", "likely", ()),
    "warm-up": ("warm-up-longer-than-run", "shown", ()),
    "labels-shuffled": ("labels-do-not-fit", "shown", ("labels", "inputs")),
    "frozen-head": ("frozen-parameters", "shown", ("gradients",)),
    "data-leak": ("data-leak", "shown", ("overlap",)),
    "nan": ("non-finite-inputs", "shown", ("inputs", "one-batch", "activations", "labels")),
    "no-normalisation": ("inputs-not-normalised", "shown", ("inputs",)),
    "scheduler": ("scheduler-unit", "shown", ()),
    "weight-decay": ("weight-decay-too-high", "likely", ()),
    "dead-relu": ("dead-activations", "shown", ("activations", "one-batch", "gradients")),
}
# What the curves and settings say without any probe: nothing is claimed that they do not show.
BY_CURVES = {
    "labels-shuffled": ("unknown", "held-out-at-constant"),
    "nan": ("unknown", "non-finite"),
    "dead-relu": ("unknown", "never-moved"),
    "frozen-head": ("none", "learned-little"),
    "data-leak": ("none", ""),
    "no-normalisation": ("none", ""),
}


def diagnose(out: Path, *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, its result and what it said."""
    stream = io.StringIO()
    texts = [str(argument) for argument in arguments]
    code = run(["diagnose", *texts, "--out", str(out)], Runner({}, stream))
    path = out / "result.json"
    result = json.loads(path.read_text()) if path.is_file() else {}
    if result:
        validate(result, "diagnose-result", file=str(path))
        validate(json.loads((out / "facts.json").read_text()), "facts", file="facts.json")
    return code, result, stream.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train every variant once, in seconds."""
    out = tmp_path_factory.mktemp("trained")
    subprocess.run([str(PYTHON), str(TRAINING), str(out)], check=True, cwd=ROOT)
    return out


def probe(out: Path, variant: str, probes: tuple[str, ...] = ()) -> Path:
    """Probe a variant's model and data in the example's Python."""
    stream = io.StringIO()
    arguments = ["--setup", SETUP, "--setup-arguments", json.dumps({"variant": variant})]
    arguments += ["--python", str(PYTHON), "--working-directory", str(ROOT), "--out", str(out)]
    for name in probes:
        arguments += ["--probes", name]
    code = run(["diagnose", "probe", *arguments], Runner({}, stream))
    assert code == 0, stream.getvalue()
    return out


def of(trained: Path, variant: str) -> list[str | Path]:
    folder = trained / variant
    return ["--log", folder / "train.log", "--config", folder / "params.json"]


@pytest.mark.parametrize("variant", FAILURES)
def test_each_failure_gets_its_class(trained: Path, tmp_path: Path, variant: str) -> None:
    code, strength, probes = FAILURES[variant]
    more: list[str | Path] = (
        ["--probes", probe(tmp_path / "probes", variant, probes)] if probes else []
    )
    ended, result, said = diagnose(tmp_path / "out", *of(trained, variant), *more)
    assert result["diagnosis"] == code, said
    assert result["causes"][0]["strength"] == strength
    cited = {sign["code"] for sign in result["signs"]}
    assert set(result["causes"][0]["evidence"]) <= cited
    status = "warn" if code == "inputs-not-normalised" else "fail"
    assert result["status"] == status
    assert ended == (0 if status == "warn" else 1)


def test_a_healthy_run_raises_no_alarm(trained: Path, tmp_path: Path) -> None:
    probes = probe(tmp_path / "probes", "healthy")
    ended, result, said = diagnose(
        tmp_path / "out", *of(trained, "healthy"), "--probes", probes, "--fail-on", "warn"
    )
    assert (ended, result["status"], result["causes"]) == (0, "pass", []), said
    assert set(result["probes"]) == set(PROBES)
    assert {answer["outcome"] for answer in result["probes"].values()} == {"measured"}
    assert {sign["level"] for sign in result["signs"]} == {"notice"}
    assert "decay-on-norms" in {sign["code"] for sign in result["signs"]}


@pytest.mark.parametrize("variant", BY_CURVES)
def test_curves_alone_claim_no_more_than_they_show(
    trained: Path, tmp_path: Path, variant: str
) -> None:
    diagnosis, sign = BY_CURVES[variant]
    _, result, said = diagnose(tmp_path / "out", *of(trained, variant))
    assert result["diagnosis"] == diagnosis, said
    assert not sign or sign in {item["code"] for item in result["signs"]}
    assert all(cause["strength"] == "possible" for cause in result["causes"])
    if diagnosis == "unknown":
        assert "unknown" in result["verdict"]
        assert "Probes that would tell" in (tmp_path / "out/report.md").read_text()


def test_the_same_run_in_mlflow_and_what_differs_from_the_last_good_one(
    trained: Path, tmp_path: Path, mlflow_server: Mlflow
) -> None:
    experiment = mlflow_server.experiment()
    runs = {}
    for start, variant in enumerate(("healthy", "nan", "scheduler")):
        log = parse_log((trained / variant / "train.log").read_text())
        params = json.loads((trained / variant / "params.json").read_text())
        runs[variant] = mlflow_server.run(
            experiment,
            {key: str(value) for key, value in params.items()},
            metrics={
                name: ["NaN" if math.isnan(value) else value for _, value in values]
                for name, values in log.series.items()
            },
            start=1_790_000_000_000 + start * 10_000,
        )
    place = ["--tracking-uri", mlflow_server.uri, "--run", runs["scheduler"]]
    _, result, said = diagnose(tmp_path / "out", *place, "--against", "last-good")
    assert result["diagnosis"] == "scheduler-unit", said
    assert result["against"]["run"] == runs["healthy"]  # the newer one has a NaN
    assert "2026-09-21, val_accuracy 0." in result["against"]["name"]
    assert result["against"]["name"].split(",")[0] in said
    changed = {c["name"]: (c["here"], c["there"]) for c in result["against"]["changes"]}
    assert changed["training.schedule"] == ("step", "onecycle")
    assert changed["training.step_size"] == ("4", "")
    assert "training.max_lr" not in changed
    place[-1] = runs["healthy"]
    _, result, said = diagnose(tmp_path / "first", *place, "--against", "last-good")
    assert result["against"]["run"] == ""
    assert result["against"]["why"] == "no earlier run of its experiment finished"


def test_the_code_that_changed_since_the_good_run_is_shown(
    tmp_path: Path, mlflow_server: Mlflow
) -> None:
    root = tmp_path / "repository"
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    commits = []
    for rate in ("0.01", "0.5"):
        write(root / "train.py", f"rate = {rate}\n")
        git(root, "add", "-A")
        git(root, "commit", "-q", "-m", rate)
        commits.append(git(root, "rev-parse", "HEAD"))
    experiment = mlflow_server.experiment()
    losses = ([2.0, 1.0], [2.0, 3.0])
    runs = []
    for number, (commit, loss) in enumerate(zip(commits, losses, strict=True)):
        tags = {"mlflow.source.git.commit": commit}
        start = 1_790_000_000_000 + number * 10_000
        found = mlflow_server.run(experiment, {}, metrics={"loss": loss}, tags=tags, start=start)
        mlflow_server.dataset(found, "digits", f"digest-{number}")
        mlflow_server.artifact(found, "requirements.txt", f"torch==2.{number}.0\n")
        runs.append(found)
    place = ["--tracking-uri", mlflow_server.uri, "--run", runs[1]]
    _, result, said = diagnose(
        tmp_path / "out", *place, "--against", f"run:{runs[0]}", "--working-directory", root
    )
    changes = {(c["kind"], c["name"]): c for c in result["against"]["changes"]}
    assert set(changes) == {("code", "commit"), ("data", "digits"), ("package", "torch")}, said
    assert changes["code", "commit"]["details"] == ["train.py"]
    assert "+rate = 0.5" in changes["code", "commit"]["diff"]
    assert changes["package", "torch"]["here"] == "2.1.0"
    assert "+rate = 0.5" in (tmp_path / "out/report.md").read_text()


def test_a_run_without_metrics_is_no_pass(tmp_path: Path, mlflow_server: Mlflow) -> None:
    run_id = mlflow_server.run(mlflow_server.experiment(), {"lr": "0.1"}, status="FAILED")
    place = ["--tracking-uri", mlflow_server.uri, "--run", run_id]
    ended, result, _ = diagnose(tmp_path / "out", *place)
    assert (ended, result["status"], result["diagnosis"]) == (1, "fail", "unknown")
    assert result["signs"][0]["code"] == "no-values"
    assert "Why is unknown" in result["verdict"]
    ended, _, said = diagnose(tmp_path / "two", *place, "--metric", "loss")
    assert (ended, "no such metric" in said) == (2, True)


def train_bundle(folder: Path, log: str, **more: Any) -> Path:
    """Write what `train` leaves behind."""
    folder.mkdir()
    (folder / "train.log").write_text(log)
    machine = {"kind": "cpu", "processor": "x", "cpus": 2, "memory_bytes": 1, "driver": ""}
    machine |= {"cuda": "", "gpus": [], "python": "3.12.1", "torch": None}
    document = {
        "version": 1, "word": "train", "status": "fail", "verdict": "It failed.", "commit": "",
        "key": "train", "state": "failed", "machine": machine, "preflight": [], "run": None,
        "command": {"arguments": [], "nproc_per_node": "", "nnodes": 1, "inside": ""},
        "attempt": {"number": 1, "maximum": 1, "requeue": False},
        "progress": {"step": None, "loss": None, "eta_seconds": None, "history": []},
        "checkpoint": {"folder": "", "resumed": None, "latest": None, "best": None, "refused": []},
        "failure": None, "telemetry": None, "notes": [],
        "cost": {"gpus": 0, "gpu_hours": 0, "price_per_gpu_hour": None, "amount": None}
        | {"energy_kwh": None},
    } | more  # fmt: skip
    write_json(folder / "result.json", document)
    seal(folder, "train")
    return folder


def test_the_bundle_of_train_is_read(tmp_path: Path) -> None:
    failure = {"class": "gpu-out-of-memory", "evidence": "torch.OutOfMemoryError: CUDA", "line": 3}
    failure |= {"file": None, "file_line": None, "advice": []}
    history = [{"seconds": n, "step": n, "loss": 2.0 - n / 10} for n in range(8)]
    progress = {"step": 7, "loss": 1.3, "eta_seconds": None, "history": history}
    bundle = train_bundle(tmp_path / "b", "hello\n", failure=failure, progress=progress)
    ended, result, said = diagnose(tmp_path / "out", "--bundle", bundle)
    assert (ended, result["diagnosis"]) == (1, "out-of-memory"), said
    assert result["series"][0]["metric"] == "loss"
    assert result["series"][0]["points"] == 8
    (bundle / "train.log").write_text("changed")
    ended, _, said = diagnose(tmp_path / "two", "--bundle", bundle)
    assert (ended, "changed after it was measured" in said or "size" in said) == (2, True)


@pytest.mark.parametrize("kind", ["import-error", "stalled", "nan-loss", "unknown", "time-limit"])
def test_a_failed_training_is_diagnosed_by_what_train_saw(tmp_path: Path, kind: str) -> None:
    line = None if kind == "stalled" else 12
    failure: dict[str, Any] = {"class": kind, "line": line}
    failure |= {"evidence": "ModuleNotFoundError: `timm`"}
    failure |= {"file": "scripts/train.py", "file_line": 3, "advice": ["Install it.", "Or not."]}
    bundle = train_bundle(tmp_path / "b", "hello\n", failure=failure)
    ended, result, said = diagnose(tmp_path / "out", "--bundle", bundle)
    seen = next(sign for sign in result["signs"] if sign["code"] == "train-failure")
    report = (tmp_path / "out/report.md").read_text()
    assert (ended, result["status"], seen["values"]) == (1, "fail", {"class": kind, "line": line})
    if kind == "time-limit":  # stopped, not ill; but nothing is known of it
        assert "no loss and no score" in result["verdict"]
        return
    assert "ModuleNotFoundError: timm, in scripts/train.py:3" in result["verdict"], said
    assert ("line 12 says" if line else "train saw this") in result["verdict"]
    expected = kind if kind in {"import-error", "stalled"} else "unknown"
    assert result["diagnosis"] == expected
    assert ("Why is unknown" in result["verdict"]) == (expected == "unknown")
    assert ("Install it. Or not." in report) == (kind != "unknown")


def test_why_there_is_no_better_run_is_said(tmp_path: Path, mlflow_server: Mlflow) -> None:
    experiment = mlflow_server.experiment()
    told = ("no earlier run of its experiment", "of 1 earlier run that finished, none was better")
    for number, expected in enumerate(told):
        start = 1_790_000_000_000 + number * 10_000
        losses = {"val_loss": [2.0, 1.0 - number / 2]}
        run_id = mlflow_server.run(experiment, {}, metrics=losses, start=start)
        place = ["--tracking-uri", mlflow_server.uri, "--run", run_id, "--against", "last-good"]
        _, result, _ = diagnose(tmp_path / "out", *place)
        assert result["against"]["why"].startswith(expected)


SHAPES = {
    "key=value": "epoch=1 step=8 train_loss=2.0\nepoch=2 step=16 train_loss=1.5\n",
    "key: value": "8/8 - 0s - train_loss: 2.0 - acc: 0.5\n8/8 - 0s - train_loss: 1.5 - acc: 0.6\n",
    "words": "[2026-11-22 12:00:01,203][x][INFO] - epoch 1: train_loss 2.0000 val_acc 0.1\n"
    "[2026-11-22 12:00:02,203][x][INFO] - epoch 2: train_loss 1.5 val_acc 0.2\n",
    "json": '{"epoch": 1, "train_loss": 2.0}\nINFO {"epoch": 2, "train_loss": 1.5}\n',
    "tqdm": "Epoch 0:  50%|##  | 4/8 [00:00<00:00, 30.1it/s, train_loss=2.0]\r"
    "Epoch 0: 100%|####| 8/8 [00:00<00:00, 30.1it/s, train_loss=1.5]\n",
    "lightning": "Epoch 0: 100%|####| 8/8 [00:00<00:00, 9.1it/s, v_num=0, train_loss=2.000]\n"
    "Epoch 1: 100%|####| 8/8 [00:00<00:00, 9.1it/s, v_num=0, train_loss=1.500]\n",
    "trainer": "{'train_loss': 2.0, 'grad_norm': 1.2, 'learning_rate': 5e-05, 'epoch': 0.5}\n"
    "{'train_loss': 1.5, 'grad_norm': nan, 'learning_rate': 4e-05, 'epoch': 1.0}\n",
    "tensor": "epoch 1 train_loss tensor(2.0)\nepoch 2 train_loss tensor(1.5)\n",
    "colour": "\x1b[32mtrain_loss=2.0\x1b[0m\n\x1b[32mtrain_loss=1.5\x1b[0m\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_log_is_read_in_the_shape_it_was_printed_in(shape: str) -> None:
    found = parse_log(SHAPES[shape]).series["train_loss"]
    assert [value for _, value in found] == [2.0, 1.5]
    steps = [step for step, _ in found]
    assert steps == sorted(set(steps))


def test_a_log_without_a_word_for_nan_still_has_one() -> None:
    log = parse_log('{"loss": NaN}\n{"loss": null, "note": null}\n{"loss": "inf"}\nloss=nan\n')
    assert [math.isfinite(value) for _, value in log.series["loss"]] == [False] * 4
    assert set(log.series) == {"loss"}
    assert parse_log("loss=1\nTraceback\nRuntimeError: boom\n").error == "RuntimeError: boom"


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    parse_log(text)


@given(st.lists(st.floats(), min_size=1, max_size=40))
def test_no_curve_breaks_the_diagnosis(values: list[float]) -> None:
    from mlactions.diagnose.model import Settings, Training
    from mlactions.diagnose.result import diagnose as judge

    series = {name: tuple(enumerate(values)) for name in ("train_loss", "val_loss", "lr")}
    series |= {"val_accuracy": series["lr"], "train_accuracy": series["lr"]}
    series["grad_norm"] = series["lr"]
    params = {"lr": 0.1, "grad_clip": 1.0, "num_classes": 10, "epochs": 3, "step_size": 1}
    found = judge(Training("log", "x", series, params), Settings(Path()), {})
    assert found.verdict
    if any(not math.isfinite(value) for value in values):
        assert found.status == "fail"


def test_roles_are_found_by_name() -> None:
    roles = roles_of(["loss", "eval_loss", "eval_accuracy", "learning_rate", "grad_norm", "x"])
    assert (roles.loss, roles.held_out_loss, roles.held_out_score) == (
        "loss", "eval_loss", "eval_accuracy",
    )  # fmt: skip
    assert (roles.rate, roles.gradient) == ("learning_rate", "grad_norm")
    nested = roles_of(["train/loss_epoch", "val/loss", "val/f1", "lr-AdamW"])
    assert (nested.loss, nested.held_out_loss) == ("train/loss_epoch", "val/loss")
    assert (nested.held_out_score, nested.rate) == ("val/f1", "lr-AdamW")
    assert roles_of(["a_loss", "train_loss"], ["train_loss"]).loss == "train_loss"


def test_every_sign_that_a_rule_names_can_be_raised() -> None:
    """A rule that rests on a misspelt sign could never hold."""
    package = ROOT / "scripts/mlactions/diagnose"
    code = "".join(path.read_text() for path in package.glob("*.py") if path.name != "causes.py")
    from mlactions.diagnose.causes import CLEARED

    cleared = {name for _, name in CLEARED.values()} | {"gradients-flow"}
    for rule in RULES:
        assert not rule.check or rule.check in PROBES or " " in rule.check
        for combination in (*rule.shown, *rule.likely, *rule.possible):
            for name in combination:
                plain = name.removeprefix("!")
                assert plain in cleared or f'"{plain.removeprefix("probed-")}"' in code, plain


def test_a_probe_that_found_nothing_rules_a_cause_out() -> None:
    signs = [Sign("never-moved", "fail", "it did not move", "loss")]
    before = {cause.code for cause in causes_of(signs)}
    after = {cause.code for cause in causes_of(signs, ["activations", "gradients"])}
    assert before - after == {"dead-activations", "frozen-parameters", "no-gradient"}


def test_bytes_that_are_no_text_and_a_log_without_end(tmp_path: Path) -> None:
    odd = tmp_path / "odd.log"
    odd.write_bytes(b"caf\xe9 step=1 loss=2.0\n\xff\xfe step=2 loss=1.5\n")
    ended, result, said = diagnose(tmp_path / "out", "--log", odd)
    assert (ended, result["series"][0]["values"]) == (0, [2.0, 1.5]), said
    huge = tmp_path / "huge.log"
    with huge.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    ended, _, said = diagnose(tmp_path / "two", "--log", huge)
    assert (ended, "file too large" in said) == (2, True)


BAD = {
    "nothing": ([], "name one of"),
    "two": (["--log", "a.log", "--run", "x"], "name one of"),
    "no file": (["--log", "missing.log"], "there is no such log file"),
    "no metrics": (["--log", "words.log"], "holds a name and a number"),
    "binary": (["--log", "binary.log"], "binary file"),
    "not a number": (["--log", "good.log", "--constant-loss", "many"], "constant-loss"),
    "no server": (["--run", "x", "--tracking-uri", "http://127.0.0.1:9"], "cannot be reached"),
    "no uri": (["--run", "x"], "tracking-uri"),
    "no mapping": (["--log", "good.log", "--config", "list.yaml"], "no mapping"),
    "not probes": (["--log", "good.log", "--probes", "."], "no bundle"),
    "against": (["--log", "good.log", "--against", "last-good"], "needs `run`"),
    "no such metric": (["--log", "good.log", "--metric", "los"], "It has: loss"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    arguments, message = BAD[case]
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("words.log").write_text("nothing to see here\n")
    Path("binary.log").write_bytes(b"\0\1\2")
    Path("good.log").write_text("loss=1\n")
    Path("list.yaml").write_text("- 1\n")
    ended, _, said = diagnose(tmp_path / "out", *arguments)
    assert ended == 2
    assert message in said


SETUPS = {
    "missing": ("nowhere.module:setup", "cannot be imported"),
    "function": ("wrong:nothing", "no function"),
    "raises": ("wrong:raises", "RuntimeError: not today"),
    "model": ("wrong:no_model", "as `model`"),
    "syntax": ("broken:setup", "importing it raised"),
}


@pytest.mark.parametrize("case", SETUPS)
def test_a_set_up_that_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    target, message = SETUPS[case]
    (tmp_path / "broken.py").write_text("def setup(:\n")
    (tmp_path / "wrong.py").write_text(
        "def raises():\n    raise RuntimeError('not today')\n\ndef no_model():\n    return {}\n"
    )
    stream = io.StringIO()
    out = tmp_path / "out"
    arguments = ["--setup", target, "--python", str(PYTHON), "--out", str(out)]
    arguments += ["--working-directory", str(tmp_path), "--probes", "inputs"]
    code = run(["diagnose", "probe", *arguments], Runner({}, stream))
    assert code == 1
    assert message in stream.getvalue()
    (tmp_path / "good.log").write_text("loss=1\n")
    ended, result, _ = diagnose(tmp_path / "two", "--log", tmp_path / "good.log", "--probes", out)
    assert (ended, result["status"]) == (0, "warn")
    (sign,) = [sign for sign in result["signs"] if sign["code"] == "probes-failed"]
    assert message in sign["message"]


def test_an_unknown_probe_and_a_bad_set_up_are_refused(tmp_path: Path) -> None:
    for arguments in (["--setup", "a:b", "--probes", "magic"], ["--setup", "a.b"]):
        stream = io.StringIO()
        command = ["diagnose", "probe", *arguments, "--out", str(tmp_path), "--python", str(PYTHON)]
        assert run(command, Runner({}, stream)) == 2
