"""Models: shapes, parameter counts, gradients."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from src.experiment import compose_experiment
from src.models.factory import build_model, count_parameters
from src.models.serving import ServingModel
from src.models.vit import DigitsViT

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PARAMETERS = {"digits_cnn": 81_426, "digits_vit": 69_194}


def build(name):
    return build_model(compose_experiment(CONFIGS / f"{name}.yaml").model)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("batch", [1, 7])
def test_logits_have_one_row_per_image(name, batch):
    assert build(name)(torch.randn(batch, 1, 8, 8)).shape == (batch, 10)


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_parameter_count(name, expected):
    assert count_parameters(build(name)) == expected


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_gets_a_gradient(name):
    model = build(name)
    model(torch.randn(4, 1, 8, 8)).square().sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []


def test_patches_must_divide_the_image():
    with pytest.raises(ValueError, match="patch_size 3 does not divide the image size 8"):
        DigitsViT(dim=8, depth=1, heads=1, patch_size=3, mlp_ratio=1, dropout=0.0)


def test_factory_refuses_what_is_not_a_model():
    with pytest.raises(TypeError, match=r"builtins\.dict is not a torch\.nn\.Module"):
        build_model(OmegaConf.create({"_target_": "builtins.dict"}))


def test_serving_model_normalises_and_returns_probabilities():
    model = build("digits_cnn").eval()
    pixels = torch.randint(0, 17, (3, 1, 8, 8)).float()
    probabilities = ServingModel(model, mean=5.0, std=6.0)(pixels)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(probabilities, model((pixels - 5.0) / 6.0).softmax(dim=1))
