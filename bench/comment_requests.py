"""Requests and seconds to upsert the sticky comment of a pull request with many others."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ROOT, run_once, table
from tests.fakes.github import WRITE_TOKEN, FakeGitHub
from tests.fakes.loopback import Handler, Request

LAUNCHER = str(ROOT / "scripts" / "run")
BASELINE = """\
version: 1
models:
  cnn:
    metrics:
      accuracy: {values: [0.98, 0.981, 0.979], direction: higher, tolerance: {absolute: 0.005}}
"""
HEAD = "a" * 40
COMMENTS = 1_000
PER_PAGE = 100
RUNS = 5
PULL = 7
CASES = ("create", "update", "unchanged")


class TimedGitHub(FakeGitHub):
    """Counts the seconds it takes itself, most of them to check requests and replies."""

    busy = 0.0

    def respond(self, request: Request, handler: Handler) -> None:
        """Answer, and add up how long it took."""
        started = time.perf_counter()
        super().respond(request, handler)
        self.busy += time.perf_counter() - started


@dataclass(frozen=True)
class Upsert:
    """One run of `comment`; `fake_seconds` of `seconds` were spent in the fake GitHub."""

    reads: int
    writes: int
    seconds: float
    fake_seconds: float


def upsert(case: str, comments: int, folder: Path) -> Upsert:
    """Fill a pull request with comments, ours the newest of them, and run `comment` once."""
    with TimedGitHub() as hub:
        hub.add_pull(PULL, HEAD)
        post = _poster(hub, folder)
        earlier = comments if case == "create" else comments - 1
        for number in range(earlier):
            hub.add_comment(PULL, f"Comment {number}: looks good, one question about the loss.")
        if case != "create":
            post(0.95 if case == "unchanged" else 0.94)
        hub.requests.clear()
        hub.busy = 0.0
        seconds = post(0.95)
        outcome = json.loads((folder / "comment" / "result.json").read_text())["outcome"]
        expected = {"create": "created", "update": "updated", "unchanged": "unchanged"}
        assert outcome == expected[case], outcome
        reads = hub.count("GET")
        return Upsert(reads, len(hub.requests) - reads, seconds, hub.busy)


def _poster(hub: FakeGitHub, folder: Path) -> Callable[[float], float]:
    """Return a function that posts a result as a user's job does, and returns the seconds."""
    event = folder / "event.json"
    head = {"sha": HEAD, "ref": "change", "user": {"login": "octo"}}
    pull = {"number": PULL, "head": {**head, "repo": {"full_name": hub.store.repository}}}
    event.write_text(json.dumps({"pull_request": pull}))
    variables = {
        "GITHUB_API_URL": hub.url,
        "GITHUB_REPOSITORY": hub.store.repository,
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": str(event),
        "INPUT_TOKEN": WRITE_TOKEN,
    }

    def post(accuracy: float) -> float:
        result = _result(folder, accuracy)
        command = ["comment", "--result", str(result), "--out", "comment"]
        return run_once([LAUNCHER, *command], folder, variables=variables).seconds

    return post


def _result(folder: Path, accuracy: float) -> Path:
    """Let `compare` decide on a model with this accuracy; return its bundle."""
    (folder / "baseline.yaml").write_text(BASELINE)
    metrics = folder / "metrics.json"
    metrics.write_text(json.dumps({"models": {"cnn": {"metrics": {"accuracy": [accuracy] * 3}}}}))
    out = folder / f"compare-{accuracy}"
    inputs = ["--baseline", "baseline.yaml", "--metrics", "metrics.json"]
    run_once([LAUNCHER, "compare", *inputs, "--out", str(out)], folder, accept=(0, 1))
    return out


def measure(case: str, runs: int = RUNS, comments: int = COMMENTS) -> list[Upsert]:
    """Repeat one case, each time on a new GitHub, after one run that warms every cache."""
    found = []
    for _ in range(runs + 1):
        with tempfile.TemporaryDirectory() as name:
            found.append(upsert(case, comments, Path(name)))
    return found[1:]


def own_seconds(found: Sequence[Upsert]) -> float:
    """Return the median of the seconds that were not the fake's."""
    return statistics.median(item.seconds - item.fake_seconds for item in found)


def row(case: str, found: Sequence[Upsert], comments: int = COMMENTS) -> list[str]:
    """Return a row: our requests, the fewest that see every comment, and the seconds."""
    first = found[0]
    fewest = math.ceil(comments / PER_PAGE) + first.writes
    fake = statistics.median(item.fake_seconds for item in found)
    total = f"{first.reads} + {first.writes}"
    return [case, total, f"{fewest}", f"{own_seconds(found):.2f} s", f"{fake:.2f} s"]


INTRODUCTION = f"""\
`comment` as a whole process, against a GitHub on loopback that checks every request and reply by
GitHub's OpenAPI description; median of {RUNS} runs. The fewest requests that are sure to find one's
own comment read all pages of {PER_PAGE}. Ours reads the head commit too, to say so when the result
is outdated. A tool that reads the first page alone needs 2, and here posts a second comment each
time, because its own is on the last page.
"""


def headline(found: Mapping[str, Sequence[Upsert]]) -> str:
    """Return the section in one line."""
    first = found["update"][0]
    return (
        f"**An update takes {first.reads + first.writes} requests, {first.reads - 1} of them for"
        f" the pages of comments, and {own_seconds(found['update']):.1f} s.**"
    )


def main() -> None:
    """Print the section."""
    found = {case: measure(case) for case in CASES}
    header = ["", "requests: read + write", "fewest", "our seconds", "the fake GitHub's"]
    print(f"## The comment, on a pull request with {COMMENTS:,} others\n")
    print(headline(found) + "\n")
    print(INTRODUCTION)
    print(table(header, [row(case, runs) for case, runs in found.items()]))


if __name__ == "__main__":
    main()
