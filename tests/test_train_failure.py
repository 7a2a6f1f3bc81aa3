"""Failure classes: from how a training ended, and from logs of real and documented failures."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from mlactions.train.advice import ADVICE
from mlactions.train.failure import classify
from mlactions.train.model import Ended, EndedBy, Failure, Progress
from mlactions.train.stacks import find_stacks
from mlactions.train.texts import RULES

LOGS = sorted((Path(__file__).parent / "train_logs").glob("*.log"))
ROOT = Path("/repository")


def ended(code: int = 1, by: EndedBy = "itself", *, oom: bool = False, stop: int = 0) -> Ended:
    return Ended(code, by, 61.0, None, oom, stop_signal=stop)


def found(text: str, how: Ended | None = None) -> Failure:
    failure = classify(how or ended(), text.split("\n"), (), root=ROOT, folder=ROOT)
    assert failure is not None
    return failure


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_has_the_class_it_is_named_after(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    failure = found(text)
    assert failure.kind == path.stem.partition("--")[0]
    assert failure.evidence
    if failure.line is not None:
        # The evidence is that very line, without the rank that printed it.
        assert failure.evidence[:60] in text.split("\n")[failure.line - 1]


def test_every_class_that_a_log_can_show_has_a_log() -> None:
    assert {path.stem.partition("--")[0] for path in LOGS} == {rule.kind for rule in RULES} | {
        "unknown"
    }
    assert all(ADVICE[rule.kind] for rule in RULES)


def test_another_configuration_is_said_in_one_line_with_what_to_do() -> None:
    failure = found((Path(__file__).parent / "train_logs/config-changed--helper.log").read_text())
    assert failure == Failure(
        "config-changed",
        'step-000000004 was made with another configuration: data.path was "/a; b", is "/b"; '
        "model.width was 32, is 64; n was absent, is 1; and 2 more",
        10,
    )
    told = " ".join(ADVICE["config-changed"])
    assert all(way in told for way in ("--checkpoints ", "--no-resume", "--allow-change "))


def test_the_cause_counts_and_not_what_it_led_to() -> None:
    text = (Path(__file__).parent / "train_logs/gpu-out-of-memory--cuda.log").read_text()
    assert found(text).line == 8


def test_an_error_that_was_survived_is_not_the_cause() -> None:
    text = (Path(__file__).parent / "train_logs/unknown--after-a-survived-error.log").read_text()
    assert found(text).evidence == "ValueError: shapes (3, 4) and (5, 6) do not match"


def raised(exception: str, rank: str = "") -> str:
    lines = ("Traceback (most recent call last):", '  File "t.py", line 3, in <module>', "    f()")
    return "".join(f"{rank}{line}\n" for line in (*lines, exception))


OOM = "torch.OutOfMemoryError: CUDA out of memory."
MISSING = "FileNotFoundError: [Errno 2] No such file or directory: 'val.csv'"
IGNORED = "Exception ignored in: <function Writer.__del__ at 0x7f>\n"
STEPS = "".join(f"step {step} loss 0.5\n" for step in range(40))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[W] CUDA out of memory. Retrying: ok\n" + STEPS + raised(MISSING), "data-missing"),
        ("[W] CUDA out of memory. Retrying: ok\n" + raised(MISSING), "data-missing"),
        (
            "[W] CUDA out of memory. Retrying: ok\n" + raised("ModuleNotFoundError: seaborn"),
            "import-error",
        ),
        (
            "No space left on device, using memory\n" + raised("MemoryError: x"),
            "host-out-of-memory",
        ),
        ("loss is nan in 1 batch, skipped\n" + raised(MISSING), "data-missing"),
        (raised(OOM) + STEPS + raised("RuntimeError: shape mismatch"), "unknown"),
        (raised(OOM) + raised("RuntimeError: shape mismatch"), "unknown"),
        (raised(MISSING) + STEPS + "Loss is nan, stopping training", "nan-loss"),
        (raised(OOM) + STEPS + "the end", "unknown"),
        (
            raised(OOM) + STEPS + IGNORED + raised("OSError: x") + STEPS + raised(MISSING),
            "data-missing",
        ),
    ],
)
def test_the_last_exception_decides_over_all_that_was_survived(text: str, kind: str) -> None:
    assert found(text).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        raised(OOM)
        + "\nDuring handling of the above exception, another exception occurred:\n\n"
        + raised("FileNotFoundError: [Errno 2] No such file or directory: 'rescue.pt'"),
        raised(OOM)
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + raised("RuntimeError: training failed"),
        raised(OOM, "[rank1]: ") + raised("EOFError: the other rank is gone", "[rank0]: "),
        raised(OOM)
        + IGNORED
        + raised("ImportError: sys.meta_path is None, Python is likely shutting down"),
    ],
    ids=["while-handled", "raised-from", "other-rank", "at-exit"],
)
def test_what_an_exception_led_to_does_not_hide_it(text: str) -> None:
    assert found(STEPS + text).kind == "gpu-out-of-memory"


def test_early_lines_of_a_long_log_are_not_the_cause() -> None:
    early = "No space left on device: keeping fewer checkpoints\n" + "step\n" * 700
    assert found(early + "AssertionError: labels").kind == "unknown"


def test_what_ended_it_counts_before_what_it_said() -> None:
    said = "RuntimeError: CUDA out of memory"
    assert found(said, ended(-6, "stalled")).kind == "stalled"
    assert found(said, ended(0, "soft-limit")).kind == "time-limit"
    assert found(said, ended(0, "signal", stop=signal.SIGTERM)).kind == "pre-empted"
    assert found(said, ended(-9, "signal", stop=signal.SIGINT)).kind == "cancelled"


def test_the_kernels_count_of_kills_is_evidence() -> None:
    assert found("step 1", ended(-9, oom=True)).kind == "host-out-of-memory"
    alone = found("step 1", ended(-9))
    assert alone.kind == "unknown"
    assert "SIGKILL" in alone.evidence
    assert found("step 1", ended(137)).evidence == alone.evidence


def test_a_good_end_is_no_failure_unless_the_loss_is_no_number() -> None:
    good = ended(0)
    assert classify(good, ["RuntimeError: survived"], (), root=ROOT, folder=ROOT) is None
    for loss in (float("nan"), float("inf")):
        bad = Ended(0, "itself", 1.0, None, out_of_memory=False, progress=(Progress(1, 7, loss),))
        assert found("", bad) == Failure(
            "nan-loss", f"the last loss it reported is {loss} at step 7"
        )


def test_a_silent_end_says_so() -> None:
    assert found("", ended(3)).evidence == "it ended with exit code 3 and said nothing"
    assert "SIGSEGV" in found("", ended(-11)).evidence


def test_a_hostile_line_takes_no_time_and_hides_nothing() -> None:
    evidence = found("ValueError: " + "a.b" * 600 + "\u202e\x1b[31m").evidence
    assert len(evidence) <= 500
    assert "\x1b" not in evidence


STACKS = """\
step 3
Fatal Python error: Aborted

Thread 0x00007f8f3e9656c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 327 in wait
Current thread 0x00007f8f3f5c9b80 (most recent call first):
  File "/environment/lib/python3.11/site-packages/torch/x.py", line 8 in wait
  File "/repository/src/loop.py", line 12 in all_reduce
  File "/repository/train.py", line 9 in <module>

Extension modules: numpy.core, torch._C (total: 2)
the end
"""


def test_a_stall_is_placed_at_the_innermost_frame_of_the_repository() -> None:
    stacks = find_stacks(STACKS.split("\n"))
    assert len(stacks) == 7
    failure = classify(ended(-6, "stalled"), [], stacks, root=ROOT, folder=ROOT)
    expected = Failure("stalled", "it hangs in all_reduce", None, "src/loop.py", 12)
    assert failure == expected
    assert found("", ended(-6, "stalled")).file is None
