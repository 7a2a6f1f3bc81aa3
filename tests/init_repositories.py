"""Five repositories of different shapes, without torch: what init reads, and what then runs."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.gate_repository import EVALUATE as _EVALUATE

MAIN = '\nif __name__ == "__main__":\n    main()\n'
_BODY = "".join(f"    {line}\n" if line else "\n" for line in _EVALUATE.strip().splitlines())
EVALUATE = f"def main():\n{_BODY}{MAIN}"
CONFIGS = {"configs/small.yaml": "accuracy: 0.98\n", "configs/other.yaml": "accuracy: 0.95\n"}
UV_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "digits"
version = "0.1.0"
source = { virtual = "." }
"""

HYDRA_UV = {
    "pyproject.toml": '[project]\nname = "digits"\nversion = "0.1.0"\nrequires-python = ">=3.11"\n',
    "uv.lock": UV_LOCK,
    "scripts/train.py": (
        "import hydra\nimport mlflow\nimport torch\n\n\n"
        '@hydra.main(version_base=None, config_path="../configs", config_name="train")\n'
        "def main(config):\n    torch.manual_seed(config.seed)\n"
        '    mlflow.set_experiment("digits")\n'
        '    mlflow.log_metric("val_accuracy", 0.9)\n'
        '    torch.save({}, "model.pt")\n' + MAIN
    ),
    "scripts/evaluate.py": EVALUATE,
    "configs/train.yaml": "seed: 0\n",
    "tests/test_model.py": "def test_it():\n    assert True\n",
    **CONFIGS,
}
PLAIN_PIP = {
    "requirements.txt": "",
    ".python-version": "3.11\n",
    "train.py": (
        "import argparse\nimport random\n\n\ndef main():\n    random.seed(0)\n"
        "    with torch.autocast('cuda'):\n        pass\n" + MAIN
    ),
    "evaluate.py": EVALUATE,
    **CONFIGS,
}
LIGHTNING_POETRY = {
    "pyproject.toml": (
        '[tool.poetry]\nname = "digits"\nversion = "0.1.0"\ndescription = ""\nauthors = []\n'
        "package-mode = false\n\n[tool.poetry.dependencies]\n"
        'python = "^3.11"\n\n[build-system]\nrequires = ["poetry-core"]\n'
        'build-backend = "poetry.core.masonry.api"\n'
    ),
    "train.py": (
        "import lightning as L\nfrom lightning.pytorch.callbacks import ModelCheckpoint\n\n\n"
        "def main():\n    L.seed_everything(0)\n"
        "    L.Trainer(precision=16, callbacks=[ModelCheckpoint()])\n" + MAIN
    ),
    "eval.py": EVALUATE.replace("--output", "--out"),
    "conf/small.yaml": CONFIGS["configs/small.yaml"],
    "conf/other.yaml": CONFIGS["configs/other.yaml"],
}
LIGHTNING_POETRY["eval.py"] = LIGHTNING_POETRY["eval.py"].replace(
    "arguments.output", "arguments.out"
)
PACKAGE = {
    "setup.cfg": (
        "[metadata]\nname = digits\nversion = 0.1.0\n\n[options]\npackage_dir =\n    = src\n"
        "packages = find:\npython_requires = >=3.11\n\n[options.packages.find]\nwhere = src\n"
    ),
    "setup.py": "from setuptools import setup\n\nsetup()\n",
    "src/digits/__init__.py": "",
    "src/digits/evaluate.py": EVALUATE,
    "src/digits/train.py": "import numpy as np\n\n\ndef main():\n    np.random.seed(0)\n" + MAIN,
    **CONFIGS,
}
EXISTING = {
    **PLAIN_PIP,
    "AGENTS.md": "# Ours\n",
    ".github/workflows/ci.yml": (
        "name: CI\non: [push]\npermissions: {}\njobs:\n  test:\n    runs-on: ubuntu-24.04\n"
        "    steps:\n      - run: echo ok\n"
    ),
    ".github/workflows/audit.yml": "name: Ours\non: [push]\njobs: {}\n",
}

SHAPES: Mapping[str, Mapping[str, str]] = {
    "hydra-uv": HYDRA_UV,
    "plain-pip": PLAIN_PIP,
    "lightning-poetry": LIGHTNING_POETRY,
    "package-pip": PACKAGE,
    "existing": EXISTING,
}
