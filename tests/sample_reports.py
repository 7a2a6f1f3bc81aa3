"""Reports like those people get: a gate that fails, one that passes; for tests and for looking."""

from __future__ import annotations

from mlactions.report import (
    Chart,
    Chip,
    Code,
    Column,
    Coordinate,
    Coordinates,
    Details,
    Heading,
    Inline,
    Interval,
    Intervals,
    Items,
    Link,
    Listing,
    Paragraph,
    Report,
    Series,
    Strong,
    Struck,
    Table,
    Untrusted,
)
from mlactions.settings import Status

METRICS = ("test_accuracy", "test_loss", "val_accuracy", "f1_macro", "latency_ms", "peak_memory_mb")
COLUMNS = (
    Column("Model"),
    Column("Metric"),
    Column("Baseline", "right"),
    Column("This change", "right"),
    Column("Change", "right"),
    Column("Allowed", "right"),
    Column("95 % interval", "right"),
    Column("Seeds", "right"),
    Column("Verdict"),
)

FAILED: tuple[tuple[Inline, ...], ...] = (
    (
        Code("digits_cnn"),
        Code("test_accuracy"),
        "0.9814",
        "0.9504",
        "-0.0310",
        "0.0050",
        "[0.0271, 0.0349]",
        "5 / 5",
        Chip(Status.FAIL, "fail, proven"),
    ),
    (
        Code("digits_cnn"),
        Code("test_accuracy/class=8"),
        "0.9500",
        "0.9120",
        "-0.0380",
        "0.0200",
        "[-0.0110, 0.0870]",
        "5 / 5",
        Chip(Status.FAIL, "inconclusive"),
    ),
    (
        Code("digits_vit"),
        Code("latency_ms"),
        "3.10",
        "3.62",
        "+0.52",
        "0.31",
        "–",
        "1 / 5",
        Chip(Status.WARN, "above the limit"),
    ),
    (
        Code("digits_mixer_large_patch2_augmented"),
        Code("test_accuracy"),
        "0.9731",
        "none",
        "–",
        "0.0050",
        "–",
        "5 / 0",
        Chip(Status.FAIL, "evaluation crashed"),
    ),
)

LOG = """\
[2026-11-22 18:44:02] epoch 3/8 loss 0.4127 val_accuracy 0.9312
[2026-11-22 18:44:04] epoch 4/8 loss nan val_accuracy 0.1012
Traceback (most recent call last):
  File "scripts/evaluate.py", line 88, in main
    logits = model(images.to(device))
  File "src/models/mixer.py", line 41, in forward
    raise ValueError(f"expected {self.patches} patches, got {tokens.shape[1]} from an image of shape {tuple(images.shape)}")
ValueError: expected 16 patches, got 4 from an image of shape (64, 1, 8, 8)
"""  # noqa: E501  # logs have long lines

DIFF = """\
--- configs/baseline.yaml (base)
+++ configs/baseline.yaml (this change)
@@ -4,7 +4,7 @@
   digits_cnn:
     metrics:
-      test_accuracy: {direction: higher, tolerance: {absolute: 0.005}}
+      test_accuracy: {direction: higher, tolerance: {absolute: 0.05}}
"""


def passing_rows() -> tuple[tuple[Inline, ...], ...]:
    """Return fourteen rules that hold."""
    return tuple(
        (
            Code(model),
            Code(metric),
            f"{0.9 + row / 100:.4f}",
            f"{0.901 + row / 100:.4f}",
            "+0.0010",
            "0.0050",
            "[-0.0031, 0.0011]",
            "5 / 5",
            Chip(Status.PASS, "non-inferior" if row % 3 else "not proven"),
        )
        for model in ("digits_cnn", "digits_vit", "digits_mixer")
        for row, metric in enumerate(METRICS[: 4 if model == "digits_cnn" else 5])
    )


INTERVALS = Intervals(
    "Degradation, in multiples of what is allowed",
    (
        Interval("digits_cnn test_accuracy", 6.2, 5.42, 6.98, 1.0, Status.FAIL),
        Interval("digits_cnn test_accuracy/class=8", 1.9, -0.55, 4.35, 1.0, Status.FAIL),
        Interval("digits_vit latency_ms", 1.68, None, None, 1.0, Status.WARN),
        Interval("digits_cnn test_loss", 0.41, 0.1, 0.72, 1.0, Status.PASS),
        Interval("digits_cnn f1_macro", 0.2, -0.62, 1.3, 1.0, Status.PASS),
        Interval("digits_vit test_accuracy", -0.2, -0.62, 0.22, 1.0, Status.PASS),
        Interval("digits_vit peak_memory_mb", -1.1, None, -0.8, 1.0, Status.PASS),
        Interval("digits_mixer_large_patch2 val_accuracy", 41.0, 22.0, 60.0, 1.0, Status.FAIL),
    ),
)

COORDINATES = Coordinates(
    "Where the best tenth lies",
    (
        Coordinate("optim.lr", "1e-05", "0.1", note="log", best="0.0003 … 0.003"),
        Coordinate("model", levels=("digits_cnn", "digits_vit"), best="digits_cnn"),
        Coordinate("val_accuracy", "0.71", "0.98"),
    ),
    ((0.5, 0.25, 1.0), (0.6, 0.25, 0.9), (0.1, 0.75, 0.0), (0.9, None, 0.3)),
    (True, True, False, False),
)

BARS = Chart(
    "Test accuracy by model",
    ("digits_cnn", "digits_vit", "digits_mixer_large_patch2_augmented"),
    (Series("baseline", (0.9814, 0.9722, 0.9731)), Series("this change", (0.9504, 0.9741, None))),
    "share of 360 test images",
)

LINES = Chart(
    "Training loss",
    tuple(str(epoch) for epoch in range(1, 13)),
    (
        Series(
            "digits_cnn",
            (2.31, 1.24, 0.71, 0.44, 0.29, 0.21, 0.16, 0.12, 0.1, 0.085, 0.074, 0.066),
        ),
        Series("digits_vit", (2.29, 1.8, 1.4, 1.1, 0.86, 0.7, 0.58, 0.5, 0.44, 0.39, 0.36, 0.33)),
        Series("digits_mixer", (2.3, 1.1, 0.41, None, None, None, None, 2.4, 2.3, 2.3, 2.3, 2.3)),
    ),
    "cross entropy",
    "line",
)

FINDINGS: tuple[Inline, ...] = (
    (
        Strong("digits_cnn, test_accuracy. "),
        Untrusted(
            "The dropout layer before the classifier now also drops in evaluation: "
            "self.training is no longer passed to F.dropout."
        ),
        " ",
        Code("src/models/cnn.py:37"),
        " (measured: -0.0310, confidence high)",
    ),
    (
        Strong("digits_mixer. "),
        Untrusted("The patch size changed from 2 to 4, so an 8 × 8 image gives 4 patches."),
        " ",
        Code("configs/model/mixer.yaml:6"),
    ),
    (
        Struck("The learning rate of digits_vit was doubled in configs/model/vit.yaml."),
        " Struck: the file did not change.",
    ),
)


def failing() -> Report:
    """Return a gate that fails: two regressions, a warning, a crash, and Codex's explanation."""
    return Report(
        "Gate: metrics against the baseline",
        Status.FAIL,
        (
            "3 of 18 rules failed: ",
            Strong("test_accuracy of digits_cnn fell by 0.031"),
            " (allowed 0.005), and the evaluation of ",
            Code("digits_mixer_large_patch2_augmented"),
            " crashed.",
        ),
        (
            Heading(2, "Rules that need attention"),
            Table(COLUMNS, FAILED),
            Details("14 rules hold", (Table(COLUMNS, passing_rows()),)),
            Heading(2, "How far from the limit"),
            INTERVALS,
            BARS,
            Heading(2, "Evaluations"),
            Paragraph(
                (
                    "11 of 12 evaluations ended ok. Rules are those of ",
                    Code("configs/baseline.yaml"),
                    " at ",
                    Link("4f1c2ab", "https://github.com/octo/digits/commit/4f1c2ab"),
                    ".",
                )
            ),
            Details(
                (Code("digits_mixer_large_patch2_augmented"), " seed 0 crashed: exit code 1"),
                (Listing(LOG),),
                open=True,
            ),
            LINES,
            COORDINATES,
            Heading(2, "Codex's explanation"),
            Paragraph("2 of 3 claims held against the measured facts."),
            Items(FINDINGS),
            Heading(3, "This change also edits the rules"),
            Paragraph("The edited rules do not count until they are merged."),
            Listing(DIFF, "diff"),
            Details("Provenance", (Table((Column("What"), Column("Value")), PROVENANCE),)),
        ),
    )


PROVENANCE: tuple[tuple[Inline, ...], ...] = (
    ("Commit", Code("9c1de02c4a8be1b8b2a0b3d6f1f1c5be3a2d4e5f")),
    ("Protocol", Code("sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")),
    ("Hardware", "AMD EPYC 7763, no GPU"),
    ("Python, torch", "3.11.7, 2.13.0"),
)


def passing() -> Report:
    """Return a gate that passes."""
    return Report(
        "Gate: metrics against the baseline",
        Status.PASS,
        "All 14 rules hold; 11 are proven non-inferior.",
        (
            Heading(2, "Rules"),
            Table(COLUMNS, passing_rows()),
            Heading(2, "How far from the limit"),
            Intervals("Degradation, in multiples of what is allowed", INTERVALS.rows[3:7]),
            Details("Provenance", (Table((Column("What"), Column("Value")), PROVENANCE),)),
        ),
    )
