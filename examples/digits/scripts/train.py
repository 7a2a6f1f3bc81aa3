"""Train a model: `python scripts/train.py --config-name digits_cnn seed=1 training.epochs=20`.

Writes `model.pt` to Hydra's output folder and, unless `tracking.enabled=false`, an MLflow run.
With MLACTIONS_CHECKPOINTS, a folder that `mlactions train` names, it saves after every epoch and
continues from there.
"""

import logging
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from src.data.digits import DigitsData, load_data
from src.experiment import Experiment, read_experiment, train_model
from src.mlactions_train import Checkpoints
from src.training.checkpoint import Checkpoint, save_checkpoint
from src.training.resume import CheckpointKeeper, Stopped
from src.training.tracking import Tracker, start_run

log = logging.getLogger(__name__)


def keeper_of(tracker: Tracker, params: dict[str, object]) -> CheckpointKeeper | None:
    """Whoever keeps the state of this run; nobody where no folder is named."""
    if "MLACTIONS_CHECKPOINTS" not in os.environ:
        return None
    return CheckpointKeeper(Checkpoints(params, allow=("tracking.*",)), tracker.run_id)


@hydra.main(version_base="1.3", config_path="../configs", config_name="digits_cnn")
def main(config: DictConfig) -> None:
    """Train once, or once per combination with `--multirun`."""
    experiment = read_experiment(config)
    data = load_data(experiment.data)
    path = Path(HydraConfig.get().runtime.output_dir) / "model.pt"
    params = {**experiment.params, "data_sha256": data.sha256}
    try:
        train_once(experiment, data, params, path)
    except Stopped as stop:
        log.info("%s", stop)


def train_once(
    experiment: Experiment, data: DigitsData, params: dict[str, object], path: Path
) -> None:
    """Train, and write the model to `path`. Raises Stopped where the run is to be continued."""
    with start_run(experiment.tracking, params) as tracker:
        model = train_model(experiment, data, tracker, keeper_of(tracker, params))
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
