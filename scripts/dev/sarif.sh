#!/usr/bin/env bash
# Install Microsoft's SARIF validator into the folder named: it has the standard's schema and GitHub's own rules.
set -euo pipefail
target=$1
version=5.7.0

mkdir -p "$target"
npm install --silent --no-fund --no-audit --no-save --ignore-scripts --prefix "$target" "@microsoft/sarif-multitool@$version" >&2
program=$(find "$target/node_modules/@microsoft" -name Sarif.Multitool -type f)
chmod +x "$program"
ln -sfn "$(realpath -- "$program")" "$target/validator"
echo "sarif: $version in $target" >&2
