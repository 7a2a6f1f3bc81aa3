"""The file that users copy: checkpoints that are whole or not there, and resumed or refused."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlactions.errors import UserError
from mlactions.schema import load_json, validate
from mlactions.train.handshake import check_config, check_pointer, read_checkpoints
from mlactions.train.model import Checkpoint
from mlactions.train.user.mlactions_train import (
    Checkpoints,
    ConfigChangedError,
    DamagedError,
    digest,
    progress,
)

ROOT = Path(__file__).resolve().parents[1]
HELPER = ROOT / "scripts/mlactions/train/user/mlactions_train.py"
PATIENCE = 240.0
"""Seconds: longer than any loaded machine needs."""

CONFIG = {"training": {"lr": 0.1, "epochs": 3}, "data": {"path": "/a", "classes": [1, 2]}}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep this process free of what a training would have; SIGTERM ends as it was."""
    for name in ("CHECKPOINTS", "PROGRESS", "CONFIG_HASH", "ALLOW_CHANGE"):
        monkeypatch.delenv(f"MLACTIONS_{name}", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def checkpoints(folder: Path, config: Any = CONFIG, **about: Any) -> Checkpoints:
    return Checkpoints(config, folder=str(folder), **about)


def writer(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def saved(folder: Path, steps: int = 3) -> Checkpoints:
    kept = checkpoints(folder)
    for step in range(1, steps + 1):
        kept.save(writer(b"state %d" % step), step=step, metric=("val_loss", 1 / step), run_id="r1")
    return kept


def test_the_example_has_the_very_file_and_an_old_python_can_read_it() -> None:
    text = HELPER.read_text()
    assert (ROOT / "examples/digits/src/mlactions_train.py").read_text() == text
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {str(name).partition(".")[0] for name in imported} <= sys.stdlib_module_names


def test_what_was_saved_last_is_found_and_the_best_beside_it(tmp_path: Path) -> None:
    kept = saved(tmp_path)
    kept.save(writer(b"worse"), step=4, metric=("val_loss", 9.0), run_id="r1")
    found = kept.latest()
    assert found is not None
    assert (found.path.read_bytes(), found.step, found.metric, found.run_id) == (
        b"worse",
        4,
        9.0,
        "r1",
    )
    ours = read_checkpoints(tmp_path)
    assert ours.latest == Checkpoint(
        found.path.name,
        4,
        {"name": "val_loss", "value": 9.0},
        "sha256",
        ours.latest.config_hash if ours.latest else "",
        "r1",
    )
    assert ours.best is not None
    assert ours.best.step == 3
    for name in ("latest.json", "best.json"):
        validate(load_json(tmp_path / name), "checkpoint", file=name)


def test_only_the_last_ones_and_the_best_stay(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path, keep=2)
    for step in range(1, 8):
        kept.save(writer(b"x"), step=step, metric=("loss", abs(step - 3)))
    left = sorted(path.name for path in tmp_path.glob("step-*"))
    assert left == ["step-000000003", "step-000000006", "step-000000007"]


def test_a_folder_has_the_digest_that_sha256sum_gives(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path)

    def write(path: Path) -> None:
        (path / "model").mkdir(parents=True)
        (path / "model" / "00.distcp").write_bytes(b"shard")
        (path / "model-index.json").write_text("{}")
        (path / ".metadata").write_bytes(b"about")

    kept.save(write, step=5)
    found = kept.latest()
    assert found is not None
    listed = "find * .[!.]* -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    told = subprocess.check_output(["bash", "-c", listed], cwd=found.path, text=True)
    assert digest(found.path) == told.split()[0]
    (found.path / "model" / "00.distcp").write_bytes(b"SHARD")
    assert kept.latest() is None
    assert read_checkpoints(tmp_path).refused[0].why.startswith("its content was changed")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "why"),
    [(truncate, "bytes, not"), (alter, "SHA-256 differs"), (Path.unlink, "missing")],
)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, damage: Callable[[Path], None], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = saved(tmp_path)
    damage(tmp_path / "step-000000003")
    found = kept.latest()
    assert found is not None
    assert found.path.read_bytes() == b"state 2"
    assert "step-000000003 is damaged" in capsys.readouterr().out
    ours = read_checkpoints(tmp_path)
    assert ours.latest is not None
    assert ours.latest.step == 2
    assert why in ours.refused[0].why
    kept.save(writer(b"state 3 again"), step=3)
    again = kept.latest()
    assert again is not None
    assert again.path.read_bytes() == b"state 3 again"


@pytest.mark.parametrize(
    "pointer",
    [
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 1, "path": "../../etc/passwd", "step": 1}',
        '{"version": 1, "path": "/etc/passwd", "step": 1}',
        '{"version": 1, "path": "a", "step": "one"}',
        '{"version": 1, "path": "a", "step": 1, "metric": {"name": "x", "value": NaN}}',
        '{"version": 2, "path": "gone", "step": 1}',
        '{"version": 1, "path": "a\\u0000b", "step": 1}',
        "[" * 100_000,
    ],
)
def test_a_broken_pointer_names_nothing_and_is_said(tmp_path: Path, pointer: str) -> None:
    (tmp_path / "latest.json").write_text(pointer, encoding="utf-8")
    assert checkpoints(tmp_path).latest() is None
    ours = read_checkpoints(tmp_path)
    assert ours.latest is None
    assert len(ours.refused) == 1


def test_a_damaged_pointer_gives_way_to_the_best_and_loses_nothing(tmp_path: Path) -> None:
    kept = saved(tmp_path)
    steps = {path.name for path in tmp_path.glob("step-*")}
    pointer = tmp_path / "latest.json"
    pointer.write_text(pointer.read_text()[:200])
    found = checkpoints(tmp_path).latest()
    assert found is not None
    assert found.path.read_bytes() == b"state 3"  # the best one
    ours = read_checkpoints(tmp_path)
    assert (ours.latest, ours.refused[0].path) == (ours.best, "latest.json")
    kept.save(writer(b"state 4"), step=4, metric=("val_loss", 0.1))
    assert {path.name for path in tmp_path.glob("step-*")} == steps | {"step-000000004"}
    assert (tmp_path / "latest.json.damaged").exists()


def kept_one(folder: Path) -> Checkpoints:
    """Save three, of which the first is the best, and keep one."""
    kept = checkpoints(folder, keep=1)
    for step in (1, 2, 3):
        kept.save(writer(b"state %d" % step), step=step, metric=("val_loss", step))
    return kept


def lose_pointer(folder: Path) -> None:
    (folder / "latest.json").unlink()


def lose_newest(folder: Path) -> None:
    truncate(folder / "step-000000003")


@pytest.mark.parametrize(
    ("lose", "why"), [(lose_pointer, "is missing"), (lose_newest, "names none that is whole")]
)
def test_the_best_is_gone_on_from_where_the_newest_is_lost(
    tmp_path: Path, lose: Callable[[Path], None], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = kept_one(tmp_path)
    lose(tmp_path)
    found = kept.latest()
    assert found is not None
    assert found.path.read_bytes() == b"state 1"
    assert f"latest.json {why}: trying best.json" in capsys.readouterr().out
    ours = read_checkpoints(tmp_path)
    assert ours.latest == ours.best
    assert ours.refused
    check_pointer(ours, tmp_path)


def test_a_save_after_a_lost_pointer_removes_nothing_that_lay_there(tmp_path: Path) -> None:
    kept = kept_one(tmp_path)
    lay_there = {path.name for path in tmp_path.glob("step-*")}
    (tmp_path / "latest.json").unlink()
    for step in (4, 5):
        kept.save(writer(b"x"), step=step, metric=("val_loss", 0.1 / step))
    assert {path.name for path in tmp_path.glob("step-*")} == lay_there | {"step-000000005"}


@pytest.mark.parametrize("pointer", ["latest.json", "best.json"])
def test_tidying_goes_on_after_a_damaged_pointer(tmp_path: Path, pointer: str) -> None:
    kept_one(tmp_path)
    lay_there = {path.name for path in tmp_path.glob("step-*")}
    (tmp_path / pointer).write_text('{"ver')
    for first in (4, 10):  # a second start does not begin to keep all again
        kept = checkpoints(tmp_path, keep=2)
        for step in range(first, first + 6):
            kept.save(writer(b"x"), step=step, metric=("val_loss", 1 / step))
    left = {path.name for path in tmp_path.glob("step-*")}
    assert left == lay_there | {"step-000000014", "step-000000015"}
    (tmp_path / "kept.json").write_text("{")
    kept.save(writer(b"x"), step=16, metric=("val_loss", 0.01))
    assert {path.name for path in tmp_path.glob("step-*")} == left | {"step-000000016"}


def test_what_is_begun_anew_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = kept_one(tmp_path)
    (tmp_path / "latest.json").write_text("{")
    kept.save(writer(b"x"), step=4)
    assert (tmp_path / "kept.json").exists()
    monkeypatch.setenv("MLACTIONS_RESUME", "")
    checkpoints(tmp_path).save(writer(b"x"), step=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "step-000000001-2"]


def test_checkpoints_that_nothing_names_are_not_begun_over(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "latest.json").write_text("{")
    (tmp_path / "best.json").write_text("{")
    with pytest.raises(DamagedError, match="--no-resume"):
        checkpoints(tmp_path).latest()
    with pytest.raises(UserError, match="would be lost"):
        check_pointer(read_checkpoints(tmp_path), tmp_path)


def test_a_link_that_leads_out_is_used_by_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    saved(folder, steps=1)
    (path,) = folder.glob("step-*")
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    assert checkpoints(folder).latest() is None
    assert read_checkpoints(folder).latest is None


def test_a_pointer_that_is_no_file_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "latest.json")
    assert checkpoints(tmp_path).latest() is None
    found = read_checkpoints(tmp_path)
    assert found.refused[0].why == "it is no file"
    with pytest.raises(UserError, match="it is no file"):
        check_pointer(found, tmp_path)


def test_another_configuration_is_refused_with_every_key_that_differs(tmp_path: Path) -> None:
    saved(tmp_path)
    other = {
        "training": {"lr": 0.2, "epochs": 9},
        "data": {"path": "/b", "classes": [1, 2]},
        "n": 1,
    }
    with pytest.raises(ConfigChangedError) as refused:
        checkpoints(tmp_path, other).latest()
    for told in ("training.lr was 0.1, is 0.2", "data.path", "n was absent, is 1", "epochs"):
        assert told in str(refused.value)
    allowed = checkpoints(tmp_path, other, allow=("training.*", "data.path", "n"))
    assert allowed.latest() is not None


def test_the_caller_may_allow_a_change_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    longer = {**CONFIG, "training": {"lr": 0.1, "epochs": 30}}
    monkeypatch.setenv("MLACTIONS_ALLOW_CHANGE", "training.epochs\ndata.workers")
    assert checkpoints(tmp_path, longer).latest() is not None


def test_a_checkpoint_without_its_configuration_is_told_by_its_hash(tmp_path: Path) -> None:
    saved(tmp_path)
    pointer = json.loads((tmp_path / "latest.json").read_text())
    pointer["config"] = None
    (tmp_path / "latest.json").write_text(json.dumps(pointer))
    assert checkpoints(tmp_path).latest() is not None
    with pytest.raises(ConfigChangedError):
        checkpoints(tmp_path, {"other": 1}).latest()


def test_our_side_refuses_another_hash() -> None:
    found = Checkpoint("a", 1, config_hash="one")
    check_config(found, "one", Path())
    check_config(found, "", Path())
    check_config(None, "two", Path())
    with pytest.raises(UserError, match="is of one, this run is of two"):
        check_config(found, "two", Path())


def test_plain_pointers_are_enough(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"x")
    (tmp_path / "latest.json").write_text('{"version": 1, "path": "model.pt", "step": 7}')
    ours = read_checkpoints(tmp_path).latest
    assert ours == Checkpoint("model.pt", 7)
    found = checkpoints(tmp_path).latest()
    assert found is not None
    assert found.step == 7


def test_a_metric_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path)
    kept.save(writer(b"1"), step=1, metric=("loss", float("nan")))
    assert not (tmp_path / "best.json").exists()
    kept.save(writer(b"2"), step=2, metric=("loss", 0.5))
    kept.save(writer(b"3"), step=3, metric=("loss", float("-inf")))
    best = read_checkpoints(tmp_path).best
    assert best is not None
    assert best.step == 2


def test_what_fails_to_write_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    kept = saved(tmp_path, steps=1)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        kept.save(fail, step=2)
    found = kept.latest()
    assert found is not None
    assert found.step == 1
    kept.save(writer(b"2"), step=2)
    assert not list(tmp_path.glob(".*"))


def test_other_ranks_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("MLACTIONS_PROGRESS", str(tmp_path / "progress.json"))
    checkpoints(tmp_path / "c").save(writer(b"1"), step=1)
    progress(step=1)
    assert list(tmp_path.iterdir()) == []


STOPPABLE = """
import sys, time
sys.path.insert(0, sys.argv[1])
from mlactions_train import Checkpoints, progress, should_stop
Checkpoints({})
progress(step=3, loss=float("nan"), eta=2)
progress(step=4)
print("ready", flush=True)
while not should_stop():
    time.sleep(0.01)
print("saved")
"""


def test_sigterm_is_noted_and_progress_written(tmp_path: Path) -> None:
    told = tmp_path / "progress.json"
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPABLE, str(HELPER.parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "MLACTIONS_PROGRESS": str(told)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert json.loads(told.read_text()) == {"step": 3, "loss": "nan", "eta": 2}
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=PATIENCE)
    assert (said, process.returncode) == ("saved\n", 0)
    assert json.loads(told.read_text()) == {"step": 4, "loss": None, "eta": None}


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from mlactions_train import Checkpoints
kept = Checkpoints({}, folder=sys.argv[2])
step = 0
print("ready", flush=True)
while True:
    step += 1
    kept.save(lambda path: path.write_bytes(b"%d" % step * 50_000), step=step)
"""


def test_a_kill_at_any_moment_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    for round_number in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(HELPER.parent), str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "latest.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(0.013 * round_number)
        process.kill()
        process.communicate()
        ours = read_checkpoints(tmp_path)
        assert ours.refused == ()
        assert ours.latest is not None
