#!/usr/bin/env bash
# Fetch the source distributions that the audit is measured on into the folder named. Where they cannot be had, the test is skipped and says so.
set -euo pipefail
target=$1
pins=tests/cases/audit/others/packages.txt

rm -f "$target/ready"
if .venv/bin/python scripts/dev/audited.py "$pins" "$target"; then
  touch "$target/ready"
  echo "audited: $(grep -c == "$pins") packages in $target" >&2
else
  echo "audited: the packages could not be had, as the line above says; their test is skipped" >&2
fi
