"""Factories that end the process in every way a process can end."""

import os
import signal
import time
from pathlib import Path

from torch import Tensor, nn


def leave() -> nn.Module:
    """End Python without a word."""
    os._exit(0)


def crash() -> nn.Module:
    """Crash, as native code does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    return nn.Identity()


def killed() -> nn.Module:
    """Be killed, as by the kernel when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    return nn.Identity()


def hang(started: str = "") -> nn.Module:
    """Never end; say that it began."""
    if started:
        Path(started).touch()
    time.sleep(300)
    return nn.Identity()


class Slow(nn.Module):
    """Hangs in its second forward pass: after the export, while references are computed."""

    def __init__(self, started: str) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.started = Path(started)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] == 7:
            self.started.touch()
            time.sleep(300)
        return self.layer(x)
