"""A small convolutional network."""

from torch import Tensor, nn


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class DigitsCNN(nn.Module):
    """Three convolutions and a two-layer head: (B, 1, 8, 8) images -> (B, num_classes) logits."""

    def __init__(self, width: int, hidden: int, dropout: float, num_classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBlock(1, width),
            ConvBlock(width, 2 * width),
            nn.MaxPool2d(2),
            ConvBlock(2 * width, 2 * width),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * width * 4 * 4, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalised images (B, 1, 8, 8)."""
        logits: Tensor = self.head(self.features(images))
        return logits
