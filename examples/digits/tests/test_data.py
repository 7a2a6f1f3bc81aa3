"""The split: disjoint, complete, stratified, and the same for every training seed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from src.data.digits import NUM_CLASSES, DataConfig, fingerprint, load_data

CONFIG = DataConfig(val_fraction=0.10, test_fraction=0.25, split_seed=0)


def test_every_image_is_in_exactly_one_split():
    data = load_data(CONFIG)
    index = np.concatenate([data.train.index, data.val.index, data.test.index])
    assert sorted(index) == list(range(1797))


@pytest.mark.parametrize(("name", "size"), [("train", 1168), ("val", 180), ("test", 449)])
def test_classes_have_equal_proportions(name, size):
    data = load_data(CONFIG)
    split = getattr(data, name)
    everything = torch.from_numpy(load_digits().target)
    expected = torch.bincount(everything, minlength=NUM_CLASSES) * size / 1797
    assert len(split) == size
    assert (torch.bincount(split.targets) - expected).abs().max() < 1.5  # rounded twice


def test_images_are_normalised_with_the_training_split():
    data = load_data(CONFIG)
    assert data.train.images.shape == (1168, 1, 8, 8)
    assert data.train.images.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train.images.std().item() == pytest.approx(1, abs=1e-4)
    raw = torch.from_numpy(load_digits().images[data.test.index]).float()
    assert torch.allclose(data.test.images[:, 0] * data.std + data.mean, raw, atol=1e-5)


def test_train_limit_keeps_the_other_splits():
    full, limited = load_data(CONFIG), load_data(replace(CONFIG, train_limit=256))
    assert len(limited.train) == 256
    assert set(limited.train.index) < set(full.train.index)
    assert np.array_equal(limited.test.index, full.test.index)


def test_hash_covers_the_split():
    first = load_data(CONFIG).sha256
    assert first == load_data(CONFIG).sha256
    assert first != load_data(replace(CONFIG, split_seed=1)).sha256


def test_fingerprint_tells_shapes_and_types_apart():
    row = np.zeros((1, 4), dtype=np.uint8)
    others = [row.reshape(2, 2), row.astype(np.int8), row + 1]
    assert fingerprint(row) not in {fingerprint(other) for other in others}
