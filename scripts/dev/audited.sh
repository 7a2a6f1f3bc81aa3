#!/usr/bin/env bash
# Install the pinned wheels that the audit is measured on, each into a folder of its own; nothing of them is run.
# Where they cannot be had, the test is skipped and says so.
set -euo pipefail
target=$1
pins=tests/cases/audit/others/packages.txt

rm -f "$target/ready"
mkdir -p "$target"
one=$(mktemp)
trap 'rm -f "$one"' EXIT
while read -r pin; do
  [[ $pin == *==* ]] || continue
  name=${pin%% *}
  folder=$target/${name/==/-}
  [[ -d $folder/.git ]] && continue
  rm -rf "$folder"
  printf '%s\n' "$pin" >"$one"
  # For one Python and one system wherever this runs, so that it is the same file everywhere.
  if ! uv pip install --quiet --no-deps --only-binary :all: --require-hashes --python .venv/bin/python \
    --python-version 3.11 --python-platform x86_64-manylinux2014 --target "$folder" -r "$one"; then
    rm -rf "$folder"
    echo "audited: $name could not be had, as the line above says; the test of the audit on code of others is skipped" >&2
    exit 0
  fi
  # One rule asks what is committed.
  git -C "$folder" init -q
  git -C "$folder" add -f .
done <"$pins"
touch "$target/ready"
echo "audited: $(grep -c == "$pins") packages in $target" >&2
