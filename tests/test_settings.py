"""Options: explicit variables, lists by lines, and names that are safe as paths."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mlactions import environment, settings
from mlactions.errors import Exit, UserError


@click.command()
@settings.option("--base-ref", default="")
@settings.lines_option("--configs")
def show(base_ref: str, configs: tuple[str, ...]) -> None:
    print(repr((base_ref, configs)))


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ([], {}, ("", ())),
        ([], {"INPUT_CONFIGS": "a b.yaml\n\n  c.yaml \n"}, ("", ("a b.yaml", "c.yaml"))),
        (["--configs", "x y", "--configs", "z\nw"], {}, ("", ("x y", "z", "w"))),
        (["--configs", "x"], {"INPUT_CONFIGS": "y"}, ("", ("x",))),
        ([], {"INPUT_BASE_REF": "main", "INPUT_CONFIGS": ""}, ("main", ())),
        ([], {"INPUT_SHOW_BASE_REF": "no"}, ("", ())),
    ],
)
def test_options_read_their_own_variable(
    arguments: list[str], environ: dict[str, str], expected: object
) -> None:
    result = CliRunner().invoke(show, arguments, env=environ)

    assert result.output == f"{expected!r}\n"


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "soon"])
def test_minutes_are_positive_numbers(text: str) -> None:
    with pytest.raises(UserError, match="timeout-minutes"):
        settings.parse_duration_minutes(text, field="timeout-minutes")


def test_minutes_become_seconds() -> None:
    assert settings.parse_duration_minutes("1.5", field="t") == 90


@pytest.mark.parametrize("text", ["", "A", "-a", "a_b", "a" * 65, "a\n", "../x"])
def test_keys(text: str) -> None:
    with pytest.raises(UserError, match="key"):
        settings.check_key(text, field="key")


@pytest.mark.parametrize("text", ["..", "a/b", "", ".hidden", "a\0", "-x"])
def test_names_are_safe_as_files(text: str) -> None:
    with pytest.raises(UserError, match="name"):
        settings.check_name(text, field="name")


@pytest.mark.parametrize("text", ["../x", "/etc/passwd", "link/passwd", "a/../../x"])
def test_paths_stay_below(tmp_path: Path, text: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc")

    with pytest.raises(UserError, match="leads out"):
        settings.path_below(root, text, field="report-file")

    assert settings.path_below(root, "a/b.md", field="report-file") == (root / "a/b.md").resolve()


def test_user_code_gets_its_environment_and_none_of_ours() -> None:
    caller = {
        "PATH": "/bin",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONPATH": "src",
        "GITHUB_ENV": "/x",
        "GITHUB_OUTPUT": "/y",
        "GITHUB_SHA": "abc",
        "INPUT_TOKEN": "t",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    }

    found = environment.user_environment(caller)

    assert set(found) == {"PATH", "CUDA_VISIBLE_DEVICES", "PYTHONPATH", "GITHUB_SHA"}


def test_the_callers_environment_comes_through_a_descriptor() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as stream:
        stream.write(b"A=1\0B=two\nlines\0C=x=y\0")

    found = environment.caller_environment({"MLACTIONS_CALLER_FD": str(reader)})

    assert found == {"A": "1", "B": "two\nlines", "C": "x=y"}


ROOT = Path(__file__).resolve().parent.parent


def test_the_launcher_shields_us_from_the_job(tmp_path: Path) -> None:
    """A module beside the caller, PYTHONPATH and LD_PRELOAD must not run inside our process."""
    (tmp_path / "click.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('hijacked')")
    environ = os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "x", "UV_INDEX_URL": "x"}

    done = subprocess.run(
        [ROOT / "scripts/run", "--version"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mlactions, version ")


def test_without_uv_the_launcher_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "env", "cat", "cksum", "tr", "dirname", "mkdir"):
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    for name in ("scripts/run", "uv.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    done = subprocess.run(
        [tmp_path / "scripts/run", "--version"],
        env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == Exit.BAD_INPUT
    assert done.stderr.startswith("error: uv is missing: install it (https://docs.astral.sh/uv/)")
    assert done.stderr.count("\n") == 1
