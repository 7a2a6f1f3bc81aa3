#!/usr/bin/env bash
# Let continuous integration have Postgres: MLflow's server is tested over it, too. Nobody's own machine is changed; there
# the tests take the Postgres that is installed, or are skipped and say so.
set -euo pipefail
if command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then
  exit 0
fi
if [[ -z "${CI:-}" || "$(id -u)" != 0 ]] || ! command -v apt-get >/dev/null; then
  echo "postgres: not installed; its tests are skipped. On Debian: sudo apt-get install postgresql" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null; then
  echo "postgres: installed from Debian's packages" >&2
else
  echo "postgres: apt-get could not install it; its tests are skipped" >&2
fi
