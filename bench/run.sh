#!/usr/bin/env bash
# Run every benchmark and write docs/benchmarks.md. `bench/run.sh NAME…` runs some and prints them.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
python=$PWD/.venv/bin/python
export PYTHONPATH=$PWD/scripts

if [[ ! -e .tools/bench/ready || bench/requirements.txt -nt .tools/bench/ready ]]; then
  uv venv --quiet --allow-existing --python "$python" .tools/bench
  uv pip install --quiet --python .tools/bench/bin/python -r bench/requirements.txt
  touch .tools/bench/ready
fi

if [[ ! -e .tools/bench-export/ready || bench/export-requirements.txt -nt .tools/bench-export/ready ]]; then
  uv venv --quiet --allow-existing --python "$python" .tools/bench-export
  env ${PIP_FIND_LINKS:+UV_FIND_LINKS="$PIP_FIND_LINKS"} uv pip install --quiet --python .tools/bench-export/bin/python \
    -r bench/export-requirements.txt
  touch .tools/bench-export/ready
fi

if (($#)); then
  for name in "$@"; do "$python" -m "bench.$name"; done
  exit
fi

new=$(mktemp)
trap 'rm -f "$new"' EXIT
{ cat bench/introduction.md; echo; "$python" -m bench.machine; } >"$new"
for name in compare_speed faults seeds comment_requests gate_overhead export export_faults export_parity serving drift analyze audit mcp sweep train; do
  echo "bench: $name" >&2
  { echo; "$python" -m "bench.$name"; } >>"$new"
done
cat -s "$new" >docs/benchmarks.md
rm -f "$new"
trap - EXIT
cat docs/benchmarks.md
