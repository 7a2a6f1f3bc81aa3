#!/usr/bin/env bash
# Install TorchServe and what it needs, torch included, into the folder named: to try the files that `export` writes for it.
#
# The versions are those of the image that `export` writes. Java is not installed: without it the test that needs it is skipped.
set -euo pipefail
target=$1
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
serving=$root/scripts/mlactions/export/serving
python=$target/bin/python
torch=torch==$(sed -n 's/^TORCH = "\(.*\)"$/\1/p' "$serving/torchserve.py")

# As for the example's environment: a Python that is there is better than fetching one.
UV_PYTHON_DOWNLOADS=never uv venv --quiet --allow-existing --python 3.11 "$target" 2>/dev/null ||
  uv venv --quiet --allow-existing "$target"
uv pip install --quiet --python "$python" --require-hashes -r "$serving/requirements/torchserve.txt"
# Triton's own client and messages: they read our configuration and speak to our server.
client="tritonclient[http,grpc]==2.73.0"
if [[ -n ${PIP_FIND_LINKS-} ]]; then
  UV_FIND_LINKS=$PIP_FIND_LINKS uv pip install --quiet --python "$python" "$torch" "$client"
elif ! uv pip install --quiet --python "$python" --torch-backend=cpu "$torch" "$client"; then
  echo "serving: PyTorch's CPU index is out of reach; taking torch from the package index" >&2
  uv pip install --quiet --python "$python" "$torch" "$client"
fi
java=$(command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" || true)
echo "serving: TorchServe in $target, Java ${java:+in }${java:-is missing: the test that needs it will be skipped}" >&2
