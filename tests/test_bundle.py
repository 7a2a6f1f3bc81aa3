"""Bundles: whole or absent, relocatable, and nothing about them is believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mlactions.bundle import MANIFEST, open_bundle, seal, unfold, write_atomic, write_json
from mlactions.errors import UserError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    write_json(folder / "evaluation.json", {"b": 1, "a": [1.5]})
    write_atomic(folder / "logs" / "x.log", "hello\n")
    seal(folder, "evaluate")
    return folder


def test_a_bundle_moves_and_reads_the_same(bundle: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "b"
    shutil.copytree(bundle, moved)

    opened = open_bundle(moved, word="evaluate")

    assert opened.json("evaluation.json") == {"a": [1.5], "b": 1}
    assert [entry.path for entry in opened.entries] == ["evaluation.json", "logs/x.log"]
    assert str(tmp_path) not in (moved / MANIFEST).read_text()


def test_same_contents_same_bytes(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_atomic(other / "logs" / "x.log", "hello\n")
    write_json(other / "evaluation.json", {"a": [1.5], "b": 1})
    seal(other, "evaluate")

    assert (other / MANIFEST).read_bytes() == (bundle / MANIFEST).read_bytes()


def _link(bundle: Path) -> None:
    (bundle / "logs" / "x.log").unlink()
    (bundle / "logs" / "x.log").symlink_to("/etc/passwd")


def _escape(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    (bundle.parent / "outside").write_text("hello\n")
    manifest["files"][1]["path"] = "../outside"
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def _twice(bundle: Path) -> None:
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"].append(manifest["files"][0])
    (bundle / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (lambda b: (b / "evaluation.json").write_text('{"a": [9.5], "b": 1}'), "size"),
        (lambda b: (b / "logs" / "x.log").write_text("hellO\n"), "changed after"),
        (lambda b: (b / "logs" / "x.log").unlink(), "missing"),
        (lambda b: (b / MANIFEST).unlink(), "did not finish"),
        (lambda b: (b / MANIFEST).write_text("{}"), "manifest"),
        (_link, "link"),
        (_escape, "outside"),
        (_twice, "twice"),
    ],
)
def test_tampering_is_noticed(bundle: Path, tamper: Callable[[Path], object], words: str) -> None:
    tamper(bundle)

    with pytest.raises(UserError, match=words):
        open_bundle(bundle)


def test_the_writer_must_be_the_one_expected(bundle: Path) -> None:
    with pytest.raises(UserError, match="written by `evaluate`, expected `compare`"):
        open_bundle(bundle, word="compare")


def test_an_unlisted_file_is_not_read(bundle: Path) -> None:
    (bundle / "extra.json").write_text("{}")

    with pytest.raises(UserError, match="missing from the manifest"):
        open_bundle(bundle).json("extra.json")


def test_sealing_refuses_links(bundle: Path) -> None:
    (bundle / "link").symlink_to("evaluation.json")

    with pytest.raises(UserError, match="is a link"):
        seal(bundle, "evaluate")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")

    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(target, {"metric": float("nan")})
    with pytest.raises(UserError, match="cannot write: is a directory"):
        write_atomic(tmp_path, "x")

    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert target.read_text() == "old"


def test_written_files_can_be_read_by_another_user(tmp_path: Path) -> None:
    write_atomic(tmp_path / "prompt.md", "x")

    assert (tmp_path / "prompt.md").stat().st_mode & 0o777 == 0o644


def test_a_folder_of_bundles_unfolds_and_an_unfinished_part_stays_among_them(
    bundle: Path, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    for name in ("b", "a"):
        shutil.copytree(bundle, parts / name)
    assert unfold(parts) == (parts / "a", parts / "b")

    (parts / "a" / MANIFEST).unlink()
    with pytest.raises(UserError, match="did not finish"):
        [open_bundle(part) for part in unfold(parts)]


def test_a_bundle_a_plain_folder_and_a_missing_path_unfold_to_themselves(
    bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "plain" / "below").mkdir(parents=True)
    for path in (bundle, tmp_path / "plain", tmp_path / "missing"):
        assert unfold(path) == (path,)
