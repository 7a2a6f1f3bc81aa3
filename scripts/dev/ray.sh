#!/usr/bin/env bash
# Install Ray into the folder named, for `make test-cluster`. Where it cannot be had, its test is skipped and says so.
set -euo pipefail
target=$1
version=2.60.0
python=$target/bin/python

if [[ -f $target/.complete && $(<"$target/.complete") == "$version" ]]; then exit 0; fi
make_environment() {
  UV_PYTHON_DOWNLOADS=never uv venv --quiet --clear --python 3.11 "$target" 2>/dev/null || uv venv --quiet --clear "$target"
}
if make_environment && uv pip install --quiet --python "$python" "ray[default]==$version"; then
  printf '%s\n' "$version" >"$target/.complete"
  echo "ray: $version in $target" >&2
else
  rm -rf -- "$target"
  echo "ray: Ray $version could not be installed, as the lines above say; its test is skipped" >&2
fi
