"""Which folders a word may write to: its own, and never a user's."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from mlactions.__main__ import run
from mlactions.bundle import seal
from mlactions.errors import Exit, UserError
from mlactions.publish import empty_folder, tell
from mlactions.report import Report
from mlactions.runner import Runner
from mlactions.settings import Status

BASELINE = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {values: [0.98, 0.97], direction: higher, tolerance: {absolute: 0.01}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a baseline and metrics that hold."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "baseline.yaml").write_text(BASELINE)
    (tmp_path / "cnn.json").write_text(json.dumps({"accuracy": [0.98, 0.97]}))
    return tmp_path


def test_the_last_line_is_one_line_whatever_a_verdict_quotes(tmp_path: Path) -> None:
    stream = io.StringIO()
    result = {"status": "fail", "verdict": "acc\u202eu\n::error::racy fell"}
    report = Report("Gate", Status.FAIL, "It fell.", ())

    tell(Runner({"GITHUB_ACTIONS": "true"}, stream), tmp_path, result, report, "text")

    assert stream.getvalue() == "FAIL: accu :\u200b:error:\u200b:racy fell\n"


def compare(*words: str, out: str) -> tuple[int, str]:
    stream = io.StringIO()
    given = ["--baseline", "baseline.yaml", "--metrics", "cnn.json", "--out", out]
    return run(["compare", *words, *given], Runner({}, stream)), stream.getvalue()


@pytest.mark.parametrize("words", [(), ("calibrate",), ("update",)])
@pytest.mark.parametrize(
    ("out", "named"), [(".", "'baseline.yaml'"), ("mine", "'report.md'"), ("sealed", "'notes.txt'")]
)
def test_a_users_own_files_are_refused_and_stay(
    here: Path, words: tuple[str, ...], out: str, named: str
) -> None:
    for folder in ("mine", "sealed"):
        (here / folder).mkdir()
        (here / folder / "report.md").write_text("mine\n")
    seal(here / "sealed", "compare")
    (here / "sealed" / "notes.txt").write_text("mine\n")
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}

    code, said = compare(*words, out=out)

    assert code == Exit.BAD_INPUT
    assert f"`out` holds {named}, which is not ours. Name an empty folder." in said
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("words", [(), ("calibrate",), ("update",)])
def test_an_earlier_run_makes_room(here: Path, words: tuple[str, ...]) -> None:
    assert compare("calibrate", out="out")[0] == Exit.PASS
    assert (here / "out" / "calibration.yaml").exists()

    assert compare(*words, out="out")[0] == Exit.PASS

    assert (here / "out" / "calibration.yaml").exists() == (words == ("calibrate",))
    assert compare(out="out")[0] == Exit.PASS


def test_a_run_that_was_killed_makes_room(here: Path) -> None:
    compare(out="out")
    (here / "out" / "manifest.json").unlink()

    assert compare(out="out")[0] == Exit.PASS


def test_another_words_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("theirs\n")
    seal(tmp_path, "evaluate")

    with pytest.raises(UserError, match=r"holds 'manifest.json', which is not ours"):
        empty_folder(tmp_path, "compare", ())

    empty_folder(tmp_path, "evaluate", ())
    assert not list(tmp_path.iterdir())


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "weights.pt").write_text("mine\n")
    (tmp_path / "out" / "logs").mkdir(parents=True)
    (tmp_path / "out" / ".scratch").mkdir()
    (tmp_path / "out" / "metrics").symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    empty_folder(tmp_path / "out", "evaluate", {"logs", "metrics", ".scratch"}, scratch=".scratch")

    assert not list((tmp_path / "out").iterdir())
    assert (tmp_path / "real" / "weights.pt").exists()
    with pytest.raises(UserError, match="is not a folder"):
        empty_folder(tmp_path / "link", "evaluate", ())
