"""Factories and models that end Python, or give nothing."""

import sys

from torch import Tensor, nn


def leave() -> nn.Module:
    """End Python, as a script does that was taken for a factory."""
    sys.exit(3)


def sentence() -> nn.Module:
    """Raise with whole sentences."""
    raise ValueError("no data. None at all.")


class Leaving(nn.Module):
    """Ends Python in its forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        sys.exit(x.ndim + 2)


class Nothing(nn.Module):
    """Forgets to return what it computed."""

    def forward(self, x: Tensor) -> None:
        x.sum()


class Empty(nn.Module):
    """Returns a mapping that holds nothing."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        del x
        return {}


class Quarters(nn.Module):
    """Holds for multiples of four only."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] % 4 == 0
        first, second, third, fourth = x.chunk(4, 1)
        return first + second + third + fourth


def eighths() -> Tensor:
    """Return what Quarters takes."""
    return Tensor(2, 8).fill_(0.5)
