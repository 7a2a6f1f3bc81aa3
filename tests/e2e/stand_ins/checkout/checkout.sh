#!/usr/bin/env bash
# Clone like actions/checkout: one commit unless told otherwise, detached, on the commit of the event by default.
set -euo pipefail
: "${MLACTIONS_TEST_REPOSITORIES:?holds the bare repositories of the test}"
source=$MLACTIONS_TEST_REPOSITORIES/$REPOSITORY
folder=$GITHUB_WORKSPACE/${FOLDER-}

if [[ ! -d $source ]]; then
  echo "::error::Not Found - repository $REPOSITORY"
  exit 1
fi
mkdir -p "$folder"
cd "$folder"
find . -mindepth 1 -delete
git init --quiet .
git config advice.detachedHead false
git remote add origin "file://$source"

wanted=$REF
if [[ -z $wanted ]]; then
  if [[ $REPOSITORY == "$GITHUB_REPOSITORY" ]]; then wanted=$GITHUB_SHA; else wanted=HEAD; fi
fi
specs=("+$wanted:refs/remotes/origin/checkout")
options=(--quiet --no-tags)
if [[ $DEPTH == 0 ]]; then
  specs+=('+refs/heads/*:refs/remotes/origin/*' '+refs/tags/*:refs/tags/*')
else
  options+=("--depth=$DEPTH")
fi
if [[ $TAGS == true ]]; then specs+=('+refs/tags/*:refs/tags/*'); fi
git fetch "${options[@]}" origin "${specs[@]}"

if [[ -n $SPARSE ]]; then
  mapfile -t folders <<<"$SPARSE"
  git sparse-checkout set "${folders[@]}"
fi
if git show-ref --quiet --verify "refs/remotes/origin/$wanted"; then
  git checkout --quiet -B "$wanted" "refs/remotes/origin/$wanted"
else
  git checkout --quiet --detach refs/remotes/origin/checkout
fi
git update-ref -d refs/remotes/origin/checkout
if [[ $PERSIST == true ]]; then
  git config http.https://github.com/.extraheader "AUTHORIZATION: basic $(printf 'x-access-token:%s' "$TOKEN" | base64 -w0)"
fi
{
  echo "commit=$(git rev-parse HEAD)"
  echo "ref=$wanted"
} >>"$GITHUB_OUTPUT"
git log -1 --format='HEAD is now at %h %s'
