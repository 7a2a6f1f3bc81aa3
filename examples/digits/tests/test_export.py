"""Export: the ONNX file computes what the model computes, for any batch size."""

import pytest
import torch

from scripts.export import export_onnx
from src.models.cnn import DigitsCNN
from src.models.serving import ServingModel
from src.models.vit import DigitsViT

pytest.importorskip("onnxscript", reason="needs requirements-export.txt")
onnx = pytest.importorskip("onnx", reason="needs requirements-export.txt")
reference = pytest.importorskip("onnx.reference", reason="needs requirements-export.txt")

MODELS = {
    "cnn": lambda: DigitsCNN(width=4, hidden=8, dropout=0.5),
    "vit": lambda: DigitsViT(dim=8, depth=1, heads=2, patch_size=2, mlp_ratio=2, dropout=0.5),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("default")  # the exporter's dependencies warn about each other
def test_exported_model_agrees(name, tmp_path):
    model = ServingModel(MODELS[name](), mean=5.0, std=6.0).eval()
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    session = reference.ReferenceEvaluator(onnx.load(path))
    for batch in (1, 5):
        pixels = torch.randint(0, 17, (batch, 1, 8, 8)).float()
        (probabilities,) = session.run(None, {"pixels": pixels.numpy()})
        expected = model(pixels).detach()
        assert torch.allclose(torch.from_numpy(probabilities), expected, atol=1e-5)
