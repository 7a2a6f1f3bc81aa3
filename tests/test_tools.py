"""The tools that tests run on are pinned, by hash, and at the version the product pins."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from mlactions.codex_home.servers import HUB_PACKAGE, HUB_VERSION

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "dev" / "tools.sh"
LOCKS = {
    name: json.loads((ROOT / "scripts" / "dev" / name / "package-lock.json").read_text())
    for name in ("npm", "hub")
}
LOCK = LOCKS["npm"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_locked_by_hash_and_to_no_registry(name: str) -> None:
    listed = LOCKS[name]["packages"].items()
    # What a package brings along in its own archive is covered by that one's hash.
    packages = {path: entry for path, entry in listed if path and not entry.get("inBundle")}
    assert len(packages) >= 2
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert not any("resolved" in entry for entry in packages.values())


def test_the_tests_drive_the_codex_that_the_action_installs() -> None:
    action = yaml.safe_load((ROOT / "actions" / "ask" / "action.yml").read_text())
    pinned = action["inputs"]["codex-version"]["default"]
    assert LOCK["packages"]["node_modules/@openai/codex"]["version"] == pinned


def test_the_tests_start_the_hub_server_that_a_codex_home_takes() -> None:
    assert LOCKS["hub"]["packages"][f"node_modules/{HUB_PACKAGE}"]["version"] == HUB_VERSION


def test_a_second_set_up_installs_nothing() -> None:
    first = subprocess.run([SCRIPT, "all"], capture_output=True, text=True, check=True)
    second = subprocess.run([SCRIPT, "all"], capture_output=True, text=True, check=True)
    assert second.stdout == first.stdout
    assert "installed" not in second.stderr
    names = [line.split()[1] for line in second.stderr.splitlines()]
    assert names == ["uv:", "node:", "codex:", "hub:"]


def test_an_unknown_tool_is_bad_input() -> None:
    result = subprocess.run([SCRIPT, "gpu"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "tools: usage: tools.sh uv|node|codex|hub|all\n"
