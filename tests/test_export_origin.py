"""The commit of a bundle: held against the head that a user names, else against the event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlactions.errors import Exit, UserError
from mlactions.export.exported import Exported
from mlactions.export.origin import check_head, hold_to_head
from mlactions.export.reading import open_export
from mlactions.export.verify import run_verify
from mlactions.runner import Runner
from tests.export_faults.bundles import COMMIT, write
from tests.export_faults.faults import sound

OTHER, MERGE = "f" * 40, "e" * 40


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("origin") / "bundle"
    write(folder, sound()["mlp"])
    return folder


def held(bundle: Path, head: str = "", **environ: str) -> Exported:
    exported = open_export(bundle)[1]
    return hold_to_head(exported, head, environ, file="bundle")


def event(folder: Path, document: Any) -> str:
    path = folder / "event.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_a_bundle_of_another_commit_is_refused(bundle: Path, tmp_path: Path) -> None:
    runner = Runner({"GITHUB_ACTIONS": "true"})
    with pytest.raises(
        UserError, match=f"measured at {COMMIT[:12]}, not at {OTHER[:12]}"
    ) as caught:
        run_verify(runner, bundle, tmp_path / "out", {"head_sha": OTHER})
    assert caught.value.exit_code == Exit.BAD_INPUT
    assert not (tmp_path / "out").exists()
    assert held(bundle, COMMIT, GITHUB_SHA=OTHER).notes == open_export(bundle)[1].notes


@pytest.mark.parametrize("text", ["main", "abc1234", "F" * 40, "a" * 41])
def test_a_head_is_a_whole_hash(text: str) -> None:
    with pytest.raises(UserError, match="`head-sha` is"):
        check_head(text)


def test_a_commit_that_the_run_did_not_begin_with_is_named(bundle: Path, tmp_path: Path) -> None:
    pull = event(tmp_path, {"pull_request": {"head": {"sha": OTHER}}})
    notes = held(bundle, GITHUB_SHA=MERGE, GITHUB_EVENT_PATH=pull).notes
    assert notes[-1] == (
        f"Measured at {COMMIT[:12]}; this run began with {OTHER[:12]} or {MERGE[:12]}."
    )


@pytest.mark.parametrize(
    "document", [{"pull_request": {"head": {"sha": COMMIT}}}, {"pull_request": 7}, [], {}]
)
def test_head_and_merge_of_a_pull_request_will_do(
    document: Any, bundle: Path, tmp_path: Path
) -> None:
    before = open_export(bundle)[1].notes
    path = event(tmp_path, document)
    sha = MERGE if document and "head" in str(document) else COMMIT
    assert held(bundle, GITHUB_SHA=sha, GITHUB_EVENT_PATH=path).notes == before
    assert held(bundle).notes == before
