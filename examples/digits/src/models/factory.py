"""From a config to a model."""

from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn


def build_model(config: DictConfig) -> nn.Module:
    """Build the model that `_target_` names; its other keys are the constructor's arguments."""
    model = instantiate(config)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model._target_ {config['_target_']} is not a torch.nn.Module")
    return model


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
