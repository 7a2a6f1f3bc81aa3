"""Export a checkpoint to ONNX, for raw pixels and any batch size.

    python scripts/export.py --config configs/digits_cnn.yaml --checkpoint model.pt --output c.onnx

Needs requirements-export.txt. Input `pixels` (batch, 1, 8, 8) float32 with values 0 to 16; output
`probabilities` (batch, 10).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import nn

from src.data.digits import IMAGE_SHAPE
from src.experiment import compose_experiment
from src.files import atomic_path
from src.models.factory import build_model
from src.models.serving import ServingModel
from src.training.checkpoint import load_checkpoint, restore


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="the config it was trained with")
    parser.add_argument("--checkpoint", type=Path, required=True, help="written by train.py")
    parser.add_argument("--output", type=Path, required=True, help="the ONNX file to write")
    return parser.parse_args()


def export_onnx(model: nn.Module, path: Path) -> None:
    """Write `model` in eval mode with a dynamic batch; the weights are inside the file.

    The example batch has two images: with one, the exporter takes the 1 for a constant.
    """
    with atomic_path(path) as temporary:
        torch.onnx.export(
            model.eval(),
            (torch.zeros(2, *IMAGE_SHAPE),),
            temporary,
            input_names=["pixels"],
            output_names=["probabilities"],
            dynamic_shapes={"pixels": {0: "batch"}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def main() -> None:
    """Load, wrap for serving, export."""
    arguments = parse_arguments()
    experiment = compose_experiment(arguments.config)
    checkpoint = load_checkpoint(arguments.checkpoint)
    model = build_model(experiment.model)
    restore(model, checkpoint, experiment.params["model"])
    export_onnx(ServingModel(model, checkpoint.mean, checkpoint.std), arguments.output)
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()
