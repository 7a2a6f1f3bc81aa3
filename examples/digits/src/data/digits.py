"""scikit-learn's handwritten digits: 1,797 images of 8x8 pixels with values 0 to 16.

Source: https://archive.ics.uci.edu/dataset/80, bundled with scikit-learn, so nothing is downloaded.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

NUM_CLASSES = 10
IMAGE_SHAPE = (1, 8, 8)


@dataclass(frozen=True)
class DataConfig:
    """How the images are split. The seed of the split is not the seed of the training."""

    val_fraction: float
    test_fraction: float
    split_seed: int
    train_limit: int | None = None


@dataclass(frozen=True)
class Split:
    """One part of the data; `index` is the image's position in the original data set."""

    index: NDArray[np.int64]  # (N,)
    images: Tensor  # (N, 1, 8, 8) float32, normalised
    targets: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class DigitsData:
    """The three splits, the pixel statistics of the training split, and a hash of all of it."""

    train: Split
    val: Split
    test: Split
    mean: float
    std: float
    sha256: str


def split_indices(
    targets: NDArray[np.int64], config: DataConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Disjoint, sorted train, validation and test indices with the classes in equal proportions."""

    def hold_out(index: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], ...]:
        kept, held = train_test_split(
            index, test_size=size, stratify=targets[index], random_state=config.split_seed
        )
        return np.sort(kept), np.sort(held)

    total = len(targets)
    rest, test = hold_out(np.arange(total), round(config.test_fraction * total))
    train, val = hold_out(rest, round(config.val_fraction * total))
    if config.train_limit is not None:
        _, train = hold_out(train, config.train_limit)
    return train, val, test


def fingerprint(*arrays: NDArray[np.generic]) -> str:
    """SHA-256 over the shape, type and bytes of each array, as `sha256:<hex>`."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"sha256:{digest.hexdigest()}"


def load_data(config: DataConfig) -> DigitsData:
    """Load, split and normalise the digits with the statistics of the training split alone."""
    images, targets = load_digits(return_X_y=True)
    pixels = images.astype(np.float32).reshape(-1, *IMAGE_SHAPE)
    targets = targets.astype(np.int64)
    train, val, test = split_indices(targets, config)
    mean, std = float(pixels[train].mean()), float(pixels[train].std())
    normalised = (pixels - mean) / std

    def split(index: NDArray[np.int64]) -> Split:
        return Split(index, torch.from_numpy(normalised[index]), torch.from_numpy(targets[index]))

    return DigitsData(
        train=split(train),
        val=split(val),
        test=split(test),
        mean=mean,
        std=std,
        sha256=fingerprint(pixels.astype(np.uint8), targets.astype(np.uint8), train, val, test),
    )
