"""Measure a model on the test split.

    python scripts/evaluate.py --config configs/digits_cnn.yaml --seed 0 --output metrics.json

Trains from the seed, or loads `--checkpoint`. Hydra overrides may follow. Writes no MLflow run.
"""

import argparse
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torch import nn

from src.data.digits import DigitsData, load_data
from src.evaluation.metrics import accuracy_by_class, median_latency_ms, predict, summarise
from src.evaluation.report import write_metrics, write_predictions
from src.experiment import Experiment, compose_experiment, train_model
from src.models.factory import build_model
from src.training.checkpoint import load_checkpoint, restore
from src.training.reproducibility import make_reproducible
from src.training.tracking import NoTracker


def parse_arguments() -> argparse.Namespace:
    """The command line; whatever is left over is a list of Hydra overrides."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="a file in configs/")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="metrics, JSON")
    parser.add_argument("--predictions", type=Path, help="per-image results, JSON lines")
    parser.add_argument("--checkpoint", type=Path, help="evaluate these weights, do not train")
    parser.add_argument("overrides", nargs="*", help="Hydra overrides, such as training.epochs=5")
    return parser.parse_args()


def get_model(experiment: Experiment, data: DigitsData, checkpoint: Path | None) -> nn.Module:
    """The model of a checkpoint, or a freshly trained one."""
    if checkpoint is None:
        return train_model(experiment, data, NoTracker())
    make_reproducible(experiment.seed, experiment.training.threads)
    model = build_model(experiment.model)
    restore(model, load_checkpoint(checkpoint), experiment.params["model"])
    return model


def main() -> None:
    """Evaluate and write the files."""
    arguments = parse_arguments()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    overrides = [f"seed={arguments.seed}", *arguments.overrides]
    experiment = compose_experiment(arguments.config, overrides)
    data = load_data(experiment.data)
    model = get_model(experiment, data, arguments.checkpoint)

    device, autocast = experiment.training.device, experiment.training.autocast
    predictions = predict(model, data.test, device, autocast)
    metrics = {
        **summarise(predictions, "test"),
        **accuracy_by_class(predictions, "test"),
        "latency_ms": median_latency_ms(model, data.test.images[:1], device),
    }
    if arguments.predictions:
        write_predictions(arguments.predictions, data.test, predictions)
    write_metrics(arguments.output, metrics, data.sha256)
    print(f"{experiment.name} seed {experiment.seed}: {metrics['test_accuracy']:.4f}")


if __name__ == "__main__":
    main()
