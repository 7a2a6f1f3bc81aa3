"""init: no password and no token reaches a workflow, by whatever way, and none is repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlactions.errors import Exit
from mlactions.init.address import shows_secret
from mlactions.init.look import look
from tests.init_repositories import PLAIN_PIP, SHAPES
from tests.test_init import init, repository, tree

COMMAND = "python evaluate.py --config {config} --output {output}"
TOKEN = "gh" + "p_" + "Ab1" * 12


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--install", "pip install --index-url https://u:secretpw@pypi.example.org/simple x"),
        ("--install", "pip install git+https://secretpw0123456789abcdef@git.example.org/x"),
        ("--install", f"pip install git+https://{TOKEN}@github.com/o/x"),
        ("--install", f"curl -H 'Authorization: token {TOKEN}' https://example.org | tar -x"),
        ("--install", "export API_KEY=secretpw && make install"),
        ("--command", f"{COMMAND} --db postgresql://u:secretpw@h/db"),
        ("--command", f"{COMMAND} --password=secretpw"),
        ("--command", f"{COMMAND} --db-password secretpw"),
        ("--command", f"python evaluate.py --db postgresql://u:secretpw@h/db {TOKEN}"),
        ("--configs", "configs/https://u:secretpw@h/*.yaml"),
        ("--python-version", "https://u:secretpw@h"),
        ("--pin", TOKEN),
    ],
)
@pytest.mark.parametrize("mode", ["--yes", "--dry-run"])
def test_an_option_with_a_secret_is_refused_by_its_name_and_not_repeated(
    tmp_path: Path, option: str, value: str, mode: str
) -> None:
    folder = repository(tmp_path, PLAIN_PIP)
    before = tree(folder)
    code, said = init(folder, mode, f"{option}={value}")
    assert (code, tree(folder)) == (Exit.BAD_INPUT, before)
    assert f"{option} holds a password or a token" in " ".join(said.split())
    assert "secretpw" not in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    "text",
    [
        "pip install --index-url https://u:$PYPI_TOKEN@pypi.example.org/simple -r r.txt",
        "pip install --index-url https://${USER}:${TOKEN}@pypi.example.org/simple",
        "pip install https://u:${{ secrets.TOKEN }}@pypi.example.org/simple",
        "pip install git+https://git.example.org:8443/team/library@v1.2",
        "pip install git+ssh://git@github.com/team/library@v1.2",
        "git clone https://team@dev.azure.com/team/_git/library",
        "python evaluate.py --config {config} --token={seed} --pad-token=0 --output {output}",
        'python evaluate.py --password="$PASSWORD" --api-key=$(cat key)',
        "python evaluate.py eos_token=[END] max_tokens=512",
        "docker login --username u --password-stdin registry.example.org",
        "python evaluate.py --api-key-file=keys/a.txt --token-env NAME --token $TOKEN --verbose",
        "python evaluate.py --pad-token pad --seed {seed}",
        "uv sync --frozen",
    ],
)
def test_a_variable_a_port_or_a_tokenizers_word_is_no_secret(text: str) -> None:
    assert not shows_secret(text)


@pytest.mark.parametrize(
    "text", ["https://u:pa$word@h", "git+https://u:pw@h/x@v1", "$(curl https://u:pw@h)"]
)
def test_a_password_beside_a_variable_is_one(text: str) -> None:
    assert shows_secret(text)


def test_a_secret_in_a_workflow_is_not_recalled() -> None:
    workflow = (
        "jobs:\n  gate:\n    uses: codex-ml-actions/codex-ml-actions/.github/workflows/gate.yml@x\n"
        "    with:\n      install: pip install --index-url https://u:secretpw@h/simple x\n"
        f"      command: {COMMAND} --db postgresql://u:secretpw@h/db\n"
        "      configs: configs/*.yaml\n"
    )
    path = ".github/workflows/a.yml"
    told = look([path], {path: workflow}.get).recalled
    assert (told.command, told.install, told.configs) == ("", "", ("configs/*.yaml",))
    told = look([path], {path: workflow.replace("u:secretpw@", "")}.get).recalled
    assert told.command
    assert told.install


def test_a_secret_in_the_code_is_not_copied_into_a_workflow(tmp_path: Path) -> None:
    """An experiment is named by the code; what the code shows, no workflow repeats."""
    files = dict(SHAPES["hydra-uv"])
    files["scripts/train.py"] = files["scripts/train.py"].replace(
        'set_experiment("digits")', 'set_experiment("https://u:secretpw@h/digits")'
    )
    folder = repository(tmp_path, files)
    before = tree(folder)
    code, said = init(folder, "--yes", "--tracking-uri=https://mlflow.example.org")
    assert (code, tree(folder)) == (Exit.BAD_INPUT, before)
    assert "scripts/train.py" in said
    assert "secretpw" not in said
