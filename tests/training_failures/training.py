"""The digits example trained well once, and wrongly in ten ways. Runs in the example's Python.

`setup(variant)` is what `diagnose probe` calls. As a program it trains variants, one folder each:
`training.py OUT VARIANT…` writes `train.log` and `params.json`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "digits"
sys.path.insert(0, str(EXAMPLE))

from src.data.digits import DataConfig, Split, load_data  # noqa: E402  # the example's own
from src.models.cnn import DigitsCNN  # noqa: E402
from src.training.reproducibility import make_reproducible  # noqa: E402

EPOCHS = 10
BATCH = 64
LIMIT = 512


@dataclass(frozen=True)
class Recipe:
    """One way to train: what a config would say, and what the code does."""

    lr: float = 2e-3
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    schedule: str = "onecycle"
    warmup_epochs: int = 0
    step_size: int = 0
    label_shuffle: bool = False
    leak: bool = False
    frozen_head: bool = False
    pixels: bool = False
    plain: bool = False
    dead: bool = False
    zero_deviation: bool = False

    @property
    def params(self) -> dict[str, Any]:
        """Return what a run of it logs: the config, not the mistakes in the code."""
        logged: dict[str, Any] = {
            "training.epochs": EPOCHS,
            "training.batch_size": BATCH,
            "training.max_lr": self.lr,
            "training.weight_decay": self.weight_decay,
            "training.grad_clip": self.grad_clip,
            "training.optimizer": "AdamW",
            "training.schedule": self.schedule,
            "data.num_classes": 10,
        }
        if self.warmup_epochs:
            logged["training.warmup_epochs"] = self.warmup_epochs
        if self.step_size:
            logged["training.step_size"] = self.step_size
        return logged


HEALTHY = Recipe()
RECIPES: dict[str, Recipe] = {
    "healthy": HEALTHY,
    "learning-rate": replace(HEALTHY, lr=0.2, plain=True),
    "warm-up": replace(HEALTHY, schedule="warmup", warmup_epochs=100),
    "labels-shuffled": replace(HEALTHY, label_shuffle=True),
    "frozen-head": replace(HEALTHY, frozen_head=True),
    "data-leak": replace(HEALTHY, leak=True),
    "nan": replace(HEALTHY, zero_deviation=True),
    "no-normalisation": replace(HEALTHY, pixels=True, plain=True, lr=2e-3),
    "scheduler": replace(HEALTHY, schedule="step", step_size=4),
    "weight-decay": replace(HEALTHY, weight_decay=10.0),
    "dead-relu": replace(HEALTHY, plain=True, dead=True),
}


class PlainCNN(nn.Module):
    """A network without batch norm, which would hide what is wrong with its inputs."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(2 * width * 16, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10) for images (B, 1, 8, 8)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def setup(variant: str = "healthy") -> dict[str, Any]:
    """Return model, data, loss, optimiser and scheduler of a variant, before its first step."""
    recipe = RECIPES[variant]
    make_reproducible(0, 1)
    train, validation = splits(recipe)
    model: nn.Module = PlainCNN() if recipe.plain else DigitsCNN(width=8, hidden=64, dropout=0.1)
    if recipe.dead:
        nn.init.constant_(model.get_submodule("features.2").bias, -50.0)
    if recipe.frozen_head:
        model.get_submodule("head").requires_grad_(requires_grad=False)
    batches = DataLoader(
        train, batch_size=BATCH, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=recipe.lr, weight_decay=recipe.weight_decay)
    return {
        "model": model,
        "train": batches,
        "validation": DataLoader(validation, batch_size=256),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "scheduler": scheduler_of(recipe, optimizer, len(batches)),
    }


def splits(recipe: Recipe) -> tuple[TensorDataset, TensorDataset]:
    """Return training and validation data, with the recipe's mistakes in them."""
    data = load_data(
        DataConfig(val_fraction=0.1, test_fraction=0.25, split_seed=0, train_limit=LIMIT)
    )
    images, targets = shown(data.train, recipe, data.mean, data.std), data.train.targets
    held_images, held_targets = shown(data.val, recipe, data.mean, data.std), data.val.targets
    if recipe.label_shuffle:
        order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1))
        targets = targets[order]
    if recipe.leak:
        images, targets = torch.cat([images, held_images]), torch.cat([targets, held_targets])
    return TensorDataset(images, targets), TensorDataset(held_images, held_targets)


def shown(split: Split, recipe: Recipe, mean: float, std: float) -> Tensor:
    """Return images as the recipe shows them to the model."""
    if recipe.zero_deviation:
        # Per-pixel statistics: a pixel that is 0 in every image divides by 0.
        pixels = split.images * std + mean
        return (pixels - pixels.mean(0)) / pixels.std(0)
    if recipe.pixels:
        return (split.images * std + mean) * 16  # 0 to 256, as they come from a file
    return split.images


def scheduler_of(recipe: Recipe, optimizer: torch.optim.Optimizer, batches: int) -> LRScheduler:
    """Return the scheduler; `step` is meant for epochs, and is stepped with each batch."""
    if recipe.schedule == "warmup":
        ramp = recipe.warmup_epochs * batches
        return LambdaLR(optimizer, lambda step: min((step + 1) / ramp, 1.0))
    if recipe.schedule == "step":
        return StepLR(optimizer, step_size=recipe.step_size, gamma=0.1)
    return OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=EPOCHS * batches)


def train(variant: str, say: Callable[[str], None]) -> None:
    """Train a variant; one line a step and one an epoch, as many programs print them."""
    recipe, made = RECIPES[variant], setup(variant)
    model, optimizer, scheduler = made["model"], made["optimizer"], made["scheduler"]
    step = 0
    for epoch in range(1, EPOCHS + 1):
        model.train()
        total, seen, right = 0.0, 0, 0
        for images, targets in made["train"]:
            optimizer.zero_grad(set_to_none=True)
            logits = model(images)
            loss = made["loss"](logits, targets)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
            rate = optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step()
            step += 1
            say(f"step={step} epoch={epoch} lr={rate:.6g} grad_norm={float(norm):.6g}")
            total += float(loss.detach()) * len(targets)
            seen += len(targets)
            right += int((logits.argmax(1) == targets).sum())
        held = held_out(model, made["validation"])
        say(
            f"epoch={epoch} step={step} train_loss={total / seen:.6g}"
            f" train_accuracy={right / seen:.6g} val_loss={held[0]:.6g} val_accuracy={held[1]:.6g}"
        )


@torch.inference_mode()
def held_out(model: nn.Module, batches: DataLoader[tuple[Tensor, ...]]) -> tuple[float, float]:
    """Return mean loss and accuracy."""
    model.eval()
    losses, right, seen = 0.0, 0, 0
    for images, targets in batches:
        logits = model(images)
        losses += float(cross_entropy(logits, targets, reduction="sum"))
        right += int((logits.argmax(1) == targets).sum())
        seen += len(targets)
    return losses / seen, right / seen


def main(out: Path, variants: list[str]) -> None:
    """Train variants and write what each printed."""
    for variant in variants or list(RECIPES):
        folder = out / variant
        folder.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        train(variant, lines.append)
        (folder / "train.log").write_text("\n".join(lines) + "\n")
        (folder / "params.json").write_text(json.dumps(RECIPES[variant].params, indent=1) + "\n")
        last = dict(part.split("=") for part in lines[-1].split())
        shown_loss = float(last["train_loss"])
        print(variant, "nan" if math.isnan(shown_loss) else f"{shown_loss:.3f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
