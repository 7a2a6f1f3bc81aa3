"""What to do about each class of failure."""

from __future__ import annotations

from collections.abc import Mapping

from mlactions.train.model import FailureClass

WITHOUT_CHECKPOINT = (
    (
        "No checkpoint is named in `latest.json`, so another attempt would begin anew: let the loop"
        " save with `mlactions_train.py`, or write that file (see actions/train/README.md)."
    ),
    "Save more often than the soft limit comes.",
)
"""For a training that was stopped and left nothing to continue from."""

ADVICE: Mapping[FailureClass, tuple[str, ...]] = {
    "gpu-out-of-memory": (
        (
            "Halve the batch size and accumulate gradients over two steps; or use bf16 autocast or"
            " activation checkpointing."
        ),
        (
            "Where memory grows over the steps, look for a loss that is kept with its graph:"
            " `total += loss.item()`."
        ),
        (
            "Where much is reserved and little allocated, set"
            " `PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True`."
        ),
    ),
    "host-out-of-memory": (
        "Fewer DataLoader workers, a smaller prefetch, or a memory map instead of all data.",
        (
            "In a container, workers share data through `/dev/shm`: start it with `--ipc=host` or a"
            " larger `--shm-size`."
        ),
        "`min-memory-gb` lets the preflight refuse a machine with too little.",
    ),
    "nan-loss": (
        "Lower the learning rate or lengthen the warm-up, and clip gradients.",
        "With float16, use a GradScaler, or bfloat16, which needs none.",
        "`torch.autograd.set_detect_anomaly(True)` for a few steps names the operation.",
    ),
    "nccl": (
        "One rank usually failed first: look for an earlier traceback in train.log.",
        (
            "Run again with `NCCL_DEBUG=INFO`; check that all nodes reach each other, and"
            " `NCCL_SOCKET_IFNAME`."
        ),
        (
            "If ranks save or evaluate for long while others wait, raise the time-out of"
            " `init_process_group`."
        ),
    ),
    "data-missing": (
        (
            "Fetch or mount it in an earlier step; name it in `data`, so that the preflight says it"
            " before a GPU is taken."
        ),
        "Relative paths start at `working-directory`.",
    ),
    "import-error": (
        "Install the requirements in an earlier step, into the Python that `command` starts.",
        "For a library that does not load, see `torch` and `driver` in the preflight.",
    ),
    "config-changed": (
        "Let each configuration have a folder of its own: `--checkpoints checkpoints/NAME`.",
        "To begin anew in the same folder: `--no-resume`.",
        "What does no harm may differ: `--allow-change training.epochs`, or a glob of settings.",
    ),
    "stalled": (
        "The stacks below say where each thread waits.",
        (
            "DataLoader workers that hang: try `num_workers=0`. Ranks that wait for others: every"
            " rank has to reach every collective."
        ),
        "If a step honestly takes that long, raise `stalled-after-minutes` or report progress.",
    ),
    "pre-empted": ("Run it again: it continues from the last checkpoint.",),
    "time-limit": ("Run it again: it continues from the last checkpoint.",),
    "disk-full": (
        "Make room, keep fewer checkpoints, or put `checkpoints` on a larger disk.",
        "`min-disk-gb` lets the preflight refuse a disk that is too full.",
    ),
    "cancelled": ("Somebody cancelled it. Run it again to continue from the last checkpoint.",),
    "unknown": (
        "Read the end of train.log.",
        "`diagnose` reads this bundle and names likely causes.",
    ),
}
