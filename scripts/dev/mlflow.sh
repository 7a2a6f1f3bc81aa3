#!/usr/bin/env bash
# Install MLflow, server included, into the folder named: what reads MLflow is tested against the real one, also over
# Postgres, whose driver MLflow leaves to its users.
set -euo pipefail
target=$1
version=3.17.2
driver=psycopg2-binary==2.9.13
python=$target/bin/python

UV_PYTHON_DOWNLOADS=never uv venv --quiet --allow-existing --python 3.11 "$target" 2>/dev/null ||
  uv venv --quiet --allow-existing "$target"
uv pip install --quiet --python "$python" "mlflow==$version" "$driver"
echo "mlflow: $("$python" -c 'import importlib.metadata as m; print(m.version("mlflow"))') in $target" >&2
