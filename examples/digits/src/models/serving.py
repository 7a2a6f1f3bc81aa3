"""A model as it is served: raw pixels in, probabilities out."""

from torch import Tensor, nn


class ServingModel(nn.Module):
    """Normalisation, model and softmax in one, so that serving cannot normalise differently."""

    def __init__(self, model: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.model = model
        self.mean = mean
        self.std = std

    def forward(self, pixels: Tensor) -> Tensor:
        """Return probabilities (B, num_classes) for pixels (B, 1, 8, 8) with values 0 to 16."""
        logits: Tensor = self.model((pixels - self.mean) / self.std)
        return logits.softmax(dim=1)
