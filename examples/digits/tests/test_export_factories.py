"""Factories for export: the model of a config, and the trained model as it is served."""

import pytest
import torch

from src.experiment import compose_experiment
from src.models.cnn import DigitsCNN
from src.models.export import CONFIGS, classifier, server
from src.models.vit import DigitsViT
from src.training.checkpoint import Checkpoint, save_checkpoint


@pytest.mark.parametrize(
    ("config", "kind"),
    [("digits_cnn", DigitsCNN), ("digits_vit", DigitsViT), ("smoke_test", DigitsCNN)],
)
def test_a_config_names_its_model(config, kind):
    model = classifier(config)
    assert isinstance(model, kind)
    assert model.eval()(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_what_is_served_normalises_as_the_checkpoint_says(tmp_path):
    model = classifier("smoke_test").eval()
    params = compose_experiment(CONFIGS / "smoke_test.yaml").params
    path = tmp_path / "model.pt"
    save_checkpoint(Checkpoint(model.state_dict(), params, 5.0, 6.0, "sha256:0"), path)
    pixels = torch.randint(0, 17, (4, 1, 8, 8)).float()
    served = server(str(path), "smoke_test").eval()(pixels)
    expected = model((pixels - 5.0) / 6.0).softmax(dim=1)
    assert torch.allclose(served, expected)
    with pytest.raises(ValueError, match="the checkpoint is of"):
        server(str(path), "digits_vit")
