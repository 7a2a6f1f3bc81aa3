"""Why a training did not finish: one class, from how it ended and from what its log says.

The last exception decides over all that was survived. Where several classes have evidence in it
and in what it came from, the one that causes the others counts: one rank's out-of-memory makes
NCCL fail on all the others.
"""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mlactions.evaluate.tracebacks import find_place
from mlactions.text import one_line
from mlactions.train.amounts import duration
from mlactions.train.model import Ended, Failure
from mlactions.train.stacks import innermost
from mlactions.train.texts import RULES, Rule

WINDOW = 600
"""Lines at the end of a log that are read for the cause: earlier ones it has survived."""

NEAR = 5
"""Lines of a message below its exception, and lines before one that may tell why it was raised."""

MAX_EVIDENCE = 500
MAX_CHANGES = 3
_EXCEPTION = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt|Exit)\b(?::|$)")
_PROGRESS = re.compile(r"(?i)\b(?:step|epoch|iter(?:ation)?|batch)\b[ :=#\[]{0,3}\d|\d%\|")
_CHAINED = re.compile(r"During handling of the above|The above exception was")
_IGNORED = re.compile(r"Exception ignored in|Error in atexit\._run_exitfuncs")
_RANK = re.compile(r"^(?:\[[^\]]{1,60}\]:?\s*)+")
_FOLLOWS = re.compile(
    r"ChildFailedError|SignalException|KeyboardInterrupt|ChildProcessError"
    r"|DataLoader worker .* exited unexpectedly"
)
_TABLE = re.compile(r"\s+(rank|exitcode)\s+: (-?\d+)")
_FATAL_SIGNALS = {
    int(signal.SIGSEGV): "a fault in compiled code",
    int(signal.SIGBUS): "a fault in compiled code, or shared memory that is full",
    int(signal.SIGABRT): "an assertion in compiled code",
    int(signal.SIGFPE): "an arithmetic fault in compiled code",
}


def classify(
    ended: Ended, lines: Sequence[str], stacks: Sequence[str], *, root: Path, folder: Path
) -> Failure | None:
    """Return why a training did not finish, None if it did.

    `lines` is its log, `root` the repository, `folder` where the command ran.
    """
    if ended.by == "stalled":
        return _stalled(stacks, root)
    if ended.by in {"signal", "soft-limit"}:
        return _stopped(ended)
    if ended.code == 0:
        return _not_a_number(ended)
    found = _of_log(lines) or _of_process(ended, lines)
    if found.kind == "config-changed" and found.line:
        # Its place would be in our own helper, which the project has a copy of.
        return replace(found, evidence=_cut(_changes(lines[found.line - 1])))
    if ended.out_of_memory and found.kind in {"unknown", "nccl"}:
        found = Failure("host-out-of-memory", "the kernel killed a process for lack of memory")
    place = find_place("\n".join(lines[-WINDOW:]), root=root, folder=folder)
    if place is None:
        return found
    return replace(found, file=place.file, file_line=place.line)


def _stalled(stacks: Sequence[str], root: Path) -> Failure:
    place = innermost(stacks, root)
    if place is None:
        return Failure("stalled", "nothing moved, and no Python frame of this repository is known")
    file, line, function = place
    return Failure("stalled", f"it hangs in {function}", None, file, line)


def _stopped(ended: Ended) -> Failure:
    if ended.by == "soft-limit":
        return Failure("time-limit", f"the soft limit was reached after {duration(ended.seconds)}")
    name = signal.Signals(ended.stop_signal).name
    if ended.stop_signal == signal.SIGINT:
        return Failure("cancelled", f"{name} came after {duration(ended.seconds)}")
    return Failure("pre-empted", f"{name} came after {duration(ended.seconds)}")


def _not_a_number(ended: Ended) -> Failure | None:
    """Return a failure for a last loss that is no number, however well the process ended."""
    last = ended.progress[-1] if ended.progress else None
    if last is None or last.loss is None or math.isfinite(last.loss):
        return None
    step = "" if last.step is None else f" at step {last.step}"
    return Failure("nan-loss", f"the last loss it reported is {last.loss}{step}")


def _of_log(lines: Sequence[str]) -> Failure | None:
    first = max(0, len(lines) - WINDOW)
    window = [(n, _RANK.sub("", lines[n])) for n in range(first, len(lines))]
    final = _final(window)
    if final is not None and _went_on(window, final):
        window, final = window[window.index(final) + 1 :], None
    if final is not None:
        window = _of_the_end(window, final, lines)
    for rule in RULES:
        for number, line in _candidates(rule, window, final):
            if rule.pattern.search(line):
                return Failure(rule.kind, _cut(line), number + 1)
    return None


def _candidates(
    rule: Rule, window: Sequence[tuple[int, str]], final: tuple[int, str] | None
) -> Iterator[tuple[int, str]]:
    if not rule.final:
        yield from window
    elif final is not None:
        yield final
    else:
        yield from reversed(window)


def _went_on(window: Sequence[tuple[int, str]], final: tuple[int, str]) -> bool:
    """Return whether the training made progress after its last exception: it was survived.

    Other ranks may still say a few lines when one has failed.
    """
    after = window[window.index(final) + 1 :]
    return sum(bool(_PROGRESS.search(line)) for _, line in after) > NEAR


def _of_the_end(
    window: Sequence[tuple[int, str]], final: tuple[int, str], lines: Sequence[str]
) -> list[tuple[int, str]]:
    """Return the lines of the exceptions that ended it: what was said before was survived."""
    spans = _spans(window)
    end = window.index(final)
    start = _beginning(window, spans, end, lines)
    if any(rule.pattern.search(final[1]) for rule in RULES):
        return list(window[start : end + 1])
    return _raised(window[max(0, start - NEAR) :], min(NEAR, start))


def _spans(window: Sequence[tuple[int, str]]) -> list[tuple[int, int]]:
    """Return where each traceback starts, and where its exception is named."""
    return [
        (at, next((n for n in range(at, len(window)) if _EXCEPTION.match(window[n][1])), at))
        for at, (_, line) in enumerate(window)
        if line.startswith("Traceback (most")
    ]


def _beginning(
    window: Sequence[tuple[int, str]],
    spans: Sequence[tuple[int, int]],
    end: int,
    lines: Sequence[str],
) -> int:
    """Return where the exception at `end` begins, with those it was raised from.

    One of another rank belongs to it too, unless there was progress in between.
    """

    def rank(at: int) -> str:
        found = _RANK.match(lines[window[at][0]])
        return found[0] if found else ""

    start = next((at for at, last in reversed(spans) if at <= end <= last + NEAR), end)
    for at, last in reversed(spans):
        between = [line for _, line in window[last + 1 : start]]
        other = rank(at) != rank(start) and not any(map(_PROGRESS.search, between))
        if at < start and (other or last >= start or any(map(_CHAINED.match, between))):
            start = at
    return start


def _raised(window: Sequence[tuple[int, str]], before: int) -> list[tuple[int, str]]:
    """Return the lines that belong to exceptions, and what was said just before one of them.

    The first `before` lines only count if they tell of a loss: a loop that stops over one says so,
    and then raises something of its own.
    """
    nan = next(rule.pattern for rule in RULES if rule.kind == "nan-loss")
    spans = [(start, end) for start, end in _spans(window) if start >= before]
    return [
        pair
        for at, pair in enumerate(window)
        if (at >= before and _EXCEPTION.match(pair[1]))
        or any(start <= at <= end + NEAR for start, end in spans)
        or (nan.search(pair[1]) and any(0 < start - at <= NEAR for start, _ in spans))
    ]


def _final(window: Sequence[tuple[int, str]]) -> tuple[int, str] | None:
    """Return the last exception that is not merely what another one led to.

    A rank that fails takes the connection away from all the others, and an interpreter that ends
    names what it ignores.
    """
    lost = next(rule.pattern for rule in RULES if rule.kind == "nccl")
    ignored, found = False, None
    for pair in window:
        ignored = ignored or _IGNORED.match(pair[1]) is not None
        if not _EXCEPTION.match(pair[1]):
            continue
        if not (ignored or _FOLLOWS.search(pair[1]) or lost.search(pair[1])):
            found = pair
        ignored = False
    return found


def _of_process(ended: Ended, lines: Sequence[str]) -> Failure:
    """Return what is left to say: the last exception, the signal, or the exit code."""
    code = ended.code - 128 if ended.code > 128 else -ended.code  # noqa: PLR2004  # a shell's way
    if code == signal.SIGKILL and ended.code != 0:
        told = "SIGKILL ended it, and nothing in its log says why: the kernel or a person sent it"
        return Failure("unknown", told)
    window = [(n, _RANK.sub("", line)) for n, line in enumerate(lines)][-WINDOW:]
    final = _final(window)
    if final is not None:
        return Failure("unknown", _cut(final[1]), final[0] + 1)
    if code in _FATAL_SIGNALS:
        return Failure("unknown", f"{signal.Signals(code).name}: {_FATAL_SIGNALS[code]}")
    rank = _root_cause([line for _, line in window])
    if rank:
        return Failure("unknown", rank)
    said = [pair for pair in window if pair[1].strip()]
    if said:
        return Failure("unknown", _cut(said[-1][1]), said[-1][0] + 1)
    return Failure("unknown", f"it ended with exit code {ended.code} and said nothing")


def _root_cause(lines: Sequence[str]) -> str:
    """Return what torchrun's table says of the rank that failed first; empty without one."""
    starts = [n for n, line in enumerate(lines) if line.startswith("Root Cause")]
    if not starts:
        return ""
    found = (_TABLE.match(line) for line in lines[starts[-1] :])
    told = {match[1]: match[2] for match in found if match}
    return f"rank {told.get('rank', '?')} ended first, with exit code {told.get('exitcode', '?')}"


def _changes(line: str) -> str:
    """Return what the helper said of a checkpoint, with the first few settings that differ."""
    told = line.partition("ConfigChangedError: ")[2] or line
    parts = re.split(r"; (?=\S+ was )", told.rpartition(" Take another folder")[0] or told)
    parts[-1] = parts[-1].rstrip(".")
    more = f"; and {len(parts) - MAX_CHANGES} more" if len(parts) > MAX_CHANGES else ""
    return "; ".join(parts[:MAX_CHANGES]) + more


def _cut(line: str) -> str:
    text = one_line(line).strip()
    return text if len(text) <= MAX_EVIDENCE else text[: MAX_EVIDENCE - 1] + "…"
