#!/usr/bin/env bash
# Write the requirements of the servers that `export` writes, with hashes: the versions of uv.lock where both name a package.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
folder=scripts/mlactions/export/serving/requirements
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

uv export --quiet --frozen --no-dev --all-extras --no-emit-project --no-hashes >"$scratch/constraints.txt"
printf '%s\n' onnxruntime numpy starlette uvicorn >"$scratch/onnxruntime.in"
printf '%s\n' onnxruntime numpy torchserve==0.12.0 torch-model-archiver==0.12.0 pyyaml psutil >"$scratch/torchserve.in"
for target in onnxruntime torchserve; do
  {
    echo "# Written by scripts/dev/serving_requirements.sh."
    uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
      --constraint "$scratch/constraints.txt" "$scratch/$target.in"
  } >"$scratch/$target.txt"
  mv "$scratch/$target.txt" "$folder/$target.txt"
done
