"""The training loop."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, TensorDataset

from src.data.digits import Split
from src.training.precision import autocast
from src.training.resume import Keeper, Stateful

Batches = DataLoader[tuple[Tensor, ...]]
EpochEnd = Callable[[int, float], None]


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe. `max_lr` is the peak of the one-cycle schedule (Smith & Topin, 2018)."""

    epochs: int
    batch_size: int
    max_lr: float
    weight_decay: float
    label_smoothing: float
    grad_clip: float
    autocast: bool
    device: str
    threads: int


def make_batches(split: Split, batch_size: int, seed: int) -> Batches:
    """Shuffled batches whose order depends on the seed and on nothing else."""
    return DataLoader(
        TensorDataset(split.images, split.targets),
        batch_size=batch_size,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )


def fit(
    model: nn.Module,
    train: Split,
    config: TrainingConfig,
    seed: int,
    on_epoch_end: EpochEnd,
    keeper: Keeper | None = None,
) -> None:
    """Train `model` in place; `on_epoch_end` gets the epoch (from 1) and its mean training loss.

    A `keeper` saves the state after each epoch, and says where to begin.

    The last weights are the result: a one-cycle schedule ends at its best, and choosing an epoch
    by validation accuracy would add noise to every comparison.
    """
    model.to(config.device)
    batches = make_batches(train, config.batch_size, seed)
    optimizer = AdamW(model.parameters(), lr=config.max_lr, weight_decay=config.weight_decay)
    steps = config.epochs * len(batches)
    scheduler = OneCycleLR(optimizer, max_lr=config.max_lr, total_steps=steps)
    loss_function = nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    parts: dict[str, Stateful] = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    order = batches.generator
    done = keeper.restore(parts, order) if keeper else 0
    for epoch in range(done + 1, config.epochs + 1):
        model.train()
        total = torch.zeros((), device=config.device)
        for images, targets in batches:
            images, targets = images.to(config.device), targets.to(config.device)
            optimizer.zero_grad(set_to_none=True)
            with autocast(config.device, config.autocast):
                loss = loss_function(model(images), targets)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
            optimizer.step()
            scheduler.step()
            total += loss.detach() * len(targets)
        mean = float(total) / len(train)
        on_epoch_end(epoch, mean)
        if keeper:
            keeper.save(parts, order, epoch, mean)
