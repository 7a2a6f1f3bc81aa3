#!/usr/bin/env bash
# Install the example repository's own environment, torch included, into the folder named.
#
# torch comes from a local folder of wheels where PIP_FIND_LINKS names one, else from PyTorch's CPU index, else, where only
# the package index can be reached, from there (with CUDA, several gigabytes).
set -euo pipefail
target=$1
example=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../examples/digits" && pwd)
# safetensors: our own tests also export from a checkpoint in that format.
requirements=(-r "$example/requirements-dev.txt" -r "$example/requirements-export.txt" safetensors==0.8.0)
python=$target/bin/python

# 3.11 is what the requirements were tried with; any later Python that is there is better than fetching one.
UV_PYTHON_DOWNLOADS=never uv venv --quiet --allow-existing --python 3.11 "$target" 2>/dev/null ||
  uv venv --quiet --allow-existing "$target"
if [[ -n ${PIP_FIND_LINKS-} ]]; then
  UV_FIND_LINKS=$PIP_FIND_LINKS uv pip install --quiet --python "$python" "${requirements[@]}"
elif ! uv pip install --quiet --python "$python" --torch-backend=cpu "${requirements[@]}"; then
  echo "example: PyTorch's CPU index is out of reach; taking torch from the package index" >&2
  uv pip install --quiet --python "$python" "${requirements[@]}"
fi
echo "example: torch $("$python" -c 'import importlib.metadata as m; print(m.version("torch"))') in $target" >&2
