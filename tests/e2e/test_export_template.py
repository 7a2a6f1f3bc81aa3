"""The export template, as it stands but for names, on a release of the example."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeScratch
from tests.e2e.export_repository import EXAMPLE_PYTHON, repository
from tests.e2e.gate_repository import python_folder, template
from tests.e2e.harness import Act, Run, tool_path
from tests.fakes.github import FakeGitHub

# What a user edits; everything else is the template's.
EDITS = {
    "configs: configs/model.yaml": "configs: configs/smoke_test.yaml",
    "model: src.models.export:factory": (
        "model: src.models.export:classifier\n"
        """      model-arguments: '{"config": "smoke_test"}'\n"""
        "      checkpoint-key: weights\n"
        '      requests: "20"\n'
        '      level-seconds: "2"'
    ),
    "images: float32[batch,3,224,224]": "images: float32[batch,1,8,8]",
}
BASELINE = """\
version: 1
models:
  smoke_test:
    metrics:
      test_accuracy: {value: 0.5, direction: higher, tolerance: {absolute: 0.4}, min: {least}}
"""
GH = """\
#!/usr/bin/env bash
set -euo pipefail
[[ -n "$GH_TOKEN" ]]
case $1/$2 in
  api/*/matching-refs/tags/v*) echo "refs/tags/${2##*/}" ;;
  api/*/commits/tags/v*) echo "$GITHUB_SHA" ;;
esac
[[ $1 == api ]] && exit
[[ "$1 $2" == "release upload" ]]
mkdir -p "$MLACTIONS_TEST_ARTIFACTS/release-$3"
cp -- "$4" "$5" "$6" "$MLACTIONS_TEST_ARTIFACTS/release-$3"
[[ "$7 $8" == "--repo octo/digits" ]]
"""


def edited() -> str:
    text = template("export")
    for before, after in EDITS.items():
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


@pytest.fixture
def release(act: Act, scratch: MakeScratch, hub: FakeGitHub, tmp_path: Path) -> tuple[Run, Run]:
    """Run the template for a release: once with a good model, once below its baseline."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH)
    (tools / "gh").chmod(0o755)
    python = python_folder(tmp_path / "python", EXAMPLE_PYTHON)
    with_gh = Act(act.folder, act.library, path=f"{tools}:{tool_path()}")
    project = scratch(repository(edited()))

    def published(number: int, least: str) -> Run:
        project.commit({"configs/baseline.yaml": BASELINE.replace("{least}", least)})
        return with_gh.run(
            project,
            "release",
            payload={"action": "published", "release": {"tag_name": f"v{number}.0.0"}},
            api=hub.url,
            run_id=number,
            env={"MLACTIONS_TEST_PYTHON": str(python)},
        )

    return published(1, "0.1"), published(2, "1.0")


def test_a_release_gets_a_proven_and_attested_model_or_none(release: tuple[Run, Run]) -> None:
    good, bad = release

    jobs = {job.id: job.result for job in good.jobs if job.id != "export"}
    expected = ("evaluate", "measure", "verify", "smoke", "pack", "attest", "upload")
    assert jobs == dict.fromkeys(expected, "success"), good.log
    log = good.job("attest").log
    assert " files" in log
    folder = good.artifacts.parent / "release-v1.0.0"
    uploaded = {path.name for path in folder.iterdir()}
    assert uploaded == {"files-in-model-onnx.sha256", "model-onnx.tar.gz", "report.html"}
    assert all(f"attested release/{name}" in log for name in uploaded), log
    with tarfile.open(folder / "model-onnx.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"./model/model.onnx", "./SHA256SUMS", "./serving/onnxruntime/Dockerfile"} <= names
    assert "Requests a second" in (folder / "report.html").read_text()
    result = json.loads((good.artifacts / "export-smoke-export/result.json").read_text())
    assert result["status"] == "pass"
    assert result["smoke"]

    assert bad.job("evaluate").result == "failure", bad.log
    for job in expected[1:]:
        assert not bad.ran(job), job
    assert not (bad.artifacts.parent / "release-v2.0.0").exists()
