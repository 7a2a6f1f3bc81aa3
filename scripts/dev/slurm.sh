#!/usr/bin/env bash
# Let continuous integration have SLURM, for `make test-cluster`. Nobody's own machine is changed; there the test takes the
# SLURM that is installed, or is skipped and says so.
set -euo pipefail
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null && command -v munged >/dev/null; then
  exit 0
fi
if [[ -z "${CI:-}" || "$(id -u)" != 0 ]] || ! command -v apt-get >/dev/null; then
  echo "slurm: not installed; its test is skipped. On Debian: sudo apt-get install slurm-wlm munge" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Debian starts what it installs; the test starts its own, in a folder of its own.
waiting=(-o DPkg::Lock::Timeout=120 -o Acquire::Retries=2)
if timeout 600 apt-get "${waiting[@]}" update -qq && RUNLEVEL=1 timeout 900 apt-get "${waiting[@]}" install -y -qq --no-install-recommends slurm-wlm munge >/dev/null; then
  echo "slurm: installed from Debian's packages" >&2
else
  echo "slurm: apt-get could not install it; its test is skipped" >&2
fi
