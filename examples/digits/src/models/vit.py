"""A small vision transformer (Dosovitskiy et al., 2021) with pre-norm blocks."""

import torch
from torch import Tensor, nn


class EncoderBlock(nn.Module):
    """Self-attention, then an MLP, each with layer norm and residual: (B, N, D) -> (B, N, D)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_ratio * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_ratio * dim, dim),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens (B, N, D), then transform each of them."""
        normed = self.attention_norm(tokens)
        attended, _ = self.attention(normed, normed, normed, need_weights=False)
        tokens = tokens + attended
        mixed: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return mixed


class DigitsViT(nn.Module):
    """Patches, encoder blocks, a class token: (B, 1, 8, 8) images -> (B, num_classes) logits."""

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        patch_size: int,
        mlp_ratio: int,
        dropout: float,
        image_size: int = 8,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise ValueError(f"patch_size {patch_size} does not divide the image size {image_size}")
        tokens = (image_size // patch_size) ** 2 + 1
        self.patches = nn.Conv2d(1, dim, kernel_size=patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, tokens, dim).normal_(std=0.02))
        self.blocks = nn.Sequential(
            *(EncoderBlock(dim, heads, mlp_ratio, dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, num_classes) for normalised images (B, 1, 8, 8)."""
        patches = self.patches(images).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat([class_token, patches], dim=1) + self.positions
        logits: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits
