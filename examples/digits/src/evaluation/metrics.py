"""What a trained model scores on a split."""

import statistics
import time
from dataclasses import dataclass

import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from src.data.digits import NUM_CLASSES, Split
from src.training.precision import autocast


@dataclass(frozen=True)
class Predictions:
    """Per-image results of a model on a split, in the order of the split."""

    targets: Tensor  # (N,) int64
    classes: Tensor  # (N,) int64
    losses: Tensor  # (N,) float32, cross-entropy in nats

    @property
    def correct(self) -> Tensor:
        """(N,) bool."""
        return self.classes == self.targets


@torch.inference_mode()
def predict(model: nn.Module, split: Split, device: str, mixed: bool) -> Predictions:
    """Run the model in eval mode over a whole split at once."""
    model.to(device).eval()
    with autocast(device, mixed):
        logits = model(split.images.to(device))
    logits = logits.float().cpu()
    losses = cross_entropy(logits, split.targets, reduction="none")
    return Predictions(split.targets, logits.argmax(dim=1), losses)


def summarise(predictions: Predictions, prefix: str) -> dict[str, float]:
    """Accuracy, macro F1 and mean loss, named `<prefix>_accuracy` and so on."""
    f1 = f1_score(predictions.targets.numpy(), predictions.classes.numpy(), average="macro")
    return {
        f"{prefix}_accuracy": predictions.correct.double().mean().item(),
        f"{prefix}_macro_f1": float(f1),
        f"{prefix}_loss": predictions.losses.double().mean().item(),
    }


def accuracy_by_class(predictions: Predictions, prefix: str) -> dict[str, float]:
    """Accuracy on the images of each digit, named `<prefix>_accuracy/class=<digit>`."""
    return {
        f"{prefix}_accuracy/class={digit}": predictions.correct[predictions.targets == digit]
        .double()
        .mean()
        .item()
        for digit in range(NUM_CLASSES)
    }


@torch.inference_mode()
def median_latency_ms(model: nn.Module, image: Tensor, device: str, repeats: int = 200) -> float:
    """Median wall time of one forward pass of one image (1, 1, 8, 8), in milliseconds."""
    model.to(device).eval()
    image = image.to(device)

    def once() -> float:
        start = time.perf_counter_ns()
        model(image).cpu()  # copying the result back waits for the device
        return (time.perf_counter_ns() - start) / 1e6

    for _ in range(repeats // 10):
        once()
    return statistics.median(once() for _ in range(repeats))
