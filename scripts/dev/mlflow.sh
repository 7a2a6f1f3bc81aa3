#!/usr/bin/env bash
# Install MLflow, server included, into the folder named: what reads MLflow is tested against the real one.
set -euo pipefail
target=$1
version=3.17.2
python=$target/bin/python

UV_PYTHON_DOWNLOADS=never uv venv --quiet --allow-existing --python 3.11 "$target" 2>/dev/null ||
  uv venv --quiet --allow-existing "$target"
uv pip install --quiet --python "$python" "mlflow==$version"
echo "mlflow: $("$python" -c 'import importlib.metadata as m; print(m.version("mlflow"))') in $target" >&2
