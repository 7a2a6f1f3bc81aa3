"""Train a model: `python scripts/train.py --config-name digits_cnn seed=1 training.epochs=20`.

Writes `model.pt` to Hydra's output folder and, unless `tracking.enabled=false`, an MLflow run.
"""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.data.digits import load_data
from src.experiment import read_experiment, train_model
from src.training.checkpoint import Checkpoint, save_checkpoint
from src.training.tracking import start_run

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="../configs", config_name="digits_cnn")
def main(config: DictConfig) -> None:
    """Train once, or once per combination with `--multirun`."""
    experiment = read_experiment(config)
    data = load_data(experiment.data)
    path = Path(HydraConfig.get().runtime.output_dir) / "model.pt"
    params = {**experiment.params, "data_sha256": data.sha256}
    with start_run(experiment.tracking, params) as tracker:
        model = train_model(experiment, data, tracker)
        checkpoint = Checkpoint(
            weights={name: tensor.cpu() for name, tensor in model.state_dict().items()},
            config=experiment.params,
            mean=data.mean,
            std=data.std,
            data_sha256=data.sha256,
        )
        save_checkpoint(checkpoint, path)
        tracker.log_artifact(path)
    log.info("wrote %s", path)


if __name__ == "__main__":
    main()
