"""The template that fetches weights and data: its scripts, run with a stand-in for `hf`."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.ask_cases import write

TEMPLATE = Path(__file__).resolve().parents[1] / "workflows/fetch.yml"
JOBS = yaml.safe_load(TEMPLATE.read_text())["jobs"]
COMMIT = "0123456789abcdef" * 2 + "01234567"
ASSETS = f"model acme/vit {COMMIT} model.safetensors\ndataset acme/digits {COMMIT} data/test.csv\n"
HF = """#!/bin/sh
# hf download NAME FILE --repo-type KIND --revision REVISION --local-dir FOLDER
test "$#" = 9 && mkdir -p "$9/.cache/huggingface" "$(dirname "$9/$3")"
echo "$5 $2 of $7" >"$9/$3"
touch "$9/.cache/huggingface/lock"
cat # what stands on its standard input is not its own
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a checkout with a list, and a PATH with a stand-in for the Hub's client."""
    write(tmp_path / "assets.txt", ASSETS)
    write(tmp_path / "bin/hf", HF).chmod(0o755)
    write(tmp_path / "bin/python", "#!/bin/sh\n").chmod(0o755)
    return tmp_path


def step(folder: Path, job: str, name: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as GitHub does."""
    (found,) = [step for step in JOBS[job]["steps"] if step["name"] == name]
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", found["run"]],
        cwd=folder,
        env={"PATH": f"{folder}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_listed_is_fetched_and_held_against_its_hash(folder: Path) -> None:
    assert step(folder, "fetch", "Fetch").returncode == 0
    model, data = folder / "assets/acme/vit/model.safetensors", "acme/digits/data/test.csv"
    assert model.read_text() == f"model acme/vit of {COMMIT}\n"
    write(folder / "assets.sha256", "")
    first = step(folder, "fetch", "Hold it against its hashes")
    assert first.returncode == 1
    expected = [
        f"{hashlib.sha256((folder / 'assets' / name).read_bytes()).hexdigest()}  {name}"
        for name in (data, "acme/vit/model.safetensors")
    ]
    assert first.stdout.splitlines()[-2:] == expected, "what is to be committed"
    write(folder / "assets.sha256", "\n".join(expected) + "\n")
    assert step(folder, "fetch", "Hold it against its hashes").returncode == 0
    assert step(folder, "use", "Hold them against their hashes").returncode == 0
    model.write_text("swapped\n")
    for job, name in (
        ("fetch", "Hold it against its hashes"),
        ("use", "Hold them against their hashes"),
    ):
        assert step(folder, job, name).returncode == 1


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper()])
def test_a_revision_that_can_move_is_refused(folder: Path, revision: str) -> None:
    write(folder / "assets.txt", ASSETS.replace(COMMIT, revision, 1))
    done = step(folder, "fetch", "Fetch")
    assert done.returncode == 1
    assert "::error file=assets.txt::acme/vit is not pinned to a commit" in done.stdout
    assert not (folder / "assets").exists()


def test_the_cache_is_named_by_both_lists_and_filled_by_one_job() -> None:
    keys = {
        step["with"]["key"]
        for job in JOBS.values()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/cache/")
    }
    assert keys == {"assets-${{ hashFiles('assets.txt', 'assets.sha256') }}"}
    assert [name for name, job in JOBS.items() if job["cache-mode"] == "write"] == ["fetch"]
