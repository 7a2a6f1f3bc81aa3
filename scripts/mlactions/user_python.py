"""Run a program of ours in the user's Python, which knows their packages, and read its answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlactions.errors import UserError
from mlactions.schema import load_json

MAX_ANSWER_BYTES = 256 * 1024 * 1024
CREDENTIALS = (
    "MLFLOW_",
    "DATABRICKS_",
    "AWS_",
    "AZURE_",
    "GOOGLE_",
    "OPENAI_",
    "CODEX_",
    "HF_",
    "WANDB_",
    "GITHUB_TOKEN",
    "GH_TOKEN",
)
"""Beginnings of names that user code, run for reading a config only, does not need."""


def without_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what reading a config does not need."""
    return {key: value for key, value in environ.items() if not key.startswith(CREDENTIALS)}


def find_python(python: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Return a Python as an absolute path: relative to `folder`, or found on the PATH.

    A link stays one, because virtual environments hang on it.
    """
    here = folder / python
    found = str(here) if "/" in python and here.exists() else None
    found = found or shutil.which(python, path=environ.get("PATH")) or python
    return os.path.abspath(found)  # noqa: PTH100  # Path.resolve would follow the link


def ask_python(
    python: str,
    program: Path,
    question: Any,
    *,
    folder: Path,
    environ: Mapping[str, str],
    seconds: float,
) -> Any:
    """Hand a question as JSON to a program; return the JSON it writes.

    The program's arguments are the two files. Raises UserError where there is no answer.
    """
    with tempfile.TemporaryDirectory(prefix="mlactions-") as scratch:
        asked, answered = Path(scratch) / "question.json", Path(scratch) / "answer.json"
        asked.write_text(json.dumps(question, ensure_ascii=False), encoding="utf-8")
        command = [find_python(python, folder, environ), str(program), str(asked), str(answered)]
        said = _run(command, python, folder, environ, seconds)
        if not answered.exists():
            message = f"`{python}` gave no answer: {said or 'it said nothing'}."
            raise UserError("the project's Python failed", message)
        return load_json(answered, max_bytes=MAX_ANSWER_BYTES)


def _run(
    command: list[str], python: str, folder: Path, environ: Mapping[str, str], seconds: float
) -> str:
    """Run to the end; return the end of what was said."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"`{python}` gave no answer within {seconds:.0f} s."
        raise UserError("the project's Python failed", message) from None
    except OSError as error:
        message = f"`{python}` cannot be run: {error.strerror}."
        hint = "Name the Python of the project with `--python`, for example .venv/bin/python."
        raise UserError("bad input", message, hint) from None
    return " ".join(done.stderr.decode(errors="replace").split())[-300:].rstrip(".")
