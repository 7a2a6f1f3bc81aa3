#!/usr/bin/env bash
# The gate on a real model, without GitHub, without a key: measure a baseline, open a pretend pull request that makes the
# model worse, see the gate fail it; then the fix, and see it pass. Everything it writes is under build/demo.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
demo=$root/build/demo
repository=$demo/digits
export PATH="$root/.tools/example/bin:$PATH"
unset PYTHONDONTWRITEBYTECODE  # compiled modules save every evaluation two seconds
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
bold='' plain=''
if [[ -t 1 && -z ${NO_COLOR-} ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi

step() { printf '\n%s── %s%s\n\n' "$bold" "$1" "$plain"; }
shown() {
  local word line=
  for word in "$@"; do
    if [[ $word =~ [\ {*] ]]; then word="\"$word\""; fi
    line+=" ${word#"$root/"}"
  done
  printf '%s$%s%s\n' "$bold" "$line" "$plain"
  "$@"
}
commit() { git add -A && git -c user.name="A teammate" -c user.email=teammate@example.org commit -qm "$1"; }
mlactions() { "$root/scripts/run" "$@"; }
evaluate() {
  shown mlactions evaluate --configs "$1" --seeds "$2" --out "$3" "${@:4}" \
    --command "python scripts/evaluate.py --config {config} --seed {seed} --output {output}"
}
# The gate, as a pull request runs it: rules from the main branch, exit code 0 or 1.
gate() {
  evaluate "configs/digits_*.yaml" 0,1,2 "$demo/$1/evaluate" --base-ref main
  shown mlactions compare --baseline configs/baseline.yaml --base-ref main --metrics "$demo/$1/evaluate" --out "$demo/$1/compare"
}

rm -rf "$demo"
mkdir -p "$repository"
(cd "$root/examples/digits" && git ls-files -z . | tar --null --create --files-from=-) | tar --extract --directory "$repository"
cd "$repository"
git init -q -b main

step "1. The main branch: train and evaluate five seeds, and write down what the model can do"
commit "A convolutional network for handwritten digits"
evaluate configs/digits_cnn.yaml 0,1,2,3,4 "$demo/main/evaluate" --select all
shown mlactions compare update --baseline configs/baseline.yaml --metrics "$demo/main/evaluate" --out "$demo/main/update"
commit "Measure the baseline"

step "2. A pull request: \"Replace the CNN's dense head by global max pooling\""
git checkout -q -b global-pooling
git apply demo/worse.patch
commit "Replace the CNN's dense head by global max pooling"
git --no-pager diff --stat main
if gate worse; then
  echo "demo: the gate passed a model that got worse; please report this" >&2
  exit 1
fi

step "3. The fix: dropout once, behind the last batch norm"
git apply demo/fix.patch
commit "Move dropout behind the last batch norm"
gate fixed

step "The gate failed the first and passed the second. The same reports, with charts:"
printf '  %s\n' "$demo"/{worse,fixed}/compare/report.{md,html}
