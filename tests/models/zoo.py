"""Small models as users write them: those that export, and those that must not pass."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Classifier(nn.Module):
    """An LSTM over token ids: (batch, sequence) -> (batch, 4) logits."""

    def __init__(self, vocabulary: int = 100, hidden: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 8)
        self.lstm = nn.LSTM(8, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(tokens))
        return self.head(states[:, -1])


class Pair(nn.Module):
    """An image and a text: logits, and what they are computed from."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(12, 8)
        self.text = nn.Embedding(50, 8)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(8, 3)

    def forward(self, image: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.image(image.flatten(1)) + self.text(tokens).mean(1))
        return self.head(self.dropout(hidden)), hidden


class Block(nn.Module):
    """Self-attention and an MLP, pre-norm."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.mlp_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.attention_norm(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.mlp_norm(tokens))


class Transformer(nn.Module):
    """A vision transformer for CIFAR-100's shapes: (batch, 3, 32, 32) -> (batch, 100) logits."""

    def __init__(self, dim: int = 768, heads: int = 12, depth: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, 65, dim).normal_(std=0.02))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 100)

    def forward(self, image: Tensor) -> Tensor:
        patches = self.patches(image).flatten(2).transpose(1, 2)
        token = self.token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat([token, patches], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class Wide(nn.Module):
    """More than 2 GB of weights, in two matrices; cheap to fill, cheap to run."""

    def __init__(self, width: int = 16640) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(width, width, bias=False, device="meta") for _ in range(2)
        ).to_empty(device="cpu")
        for number, layer in enumerate(self.layers):
            with torch.no_grad():
                layer.weight.fill_(1e-3 / width)
                layer.weight.fill_diagonal_(number + 1.0)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x[:, :16]


class Decision(nn.Module):
    """Takes one of two ways, by the values it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.gate = Gate()

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.encoder(x))


class Gate(nn.Module):
    """The decision itself."""

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x * 2
        return x


class FixedBatch(nn.Module):
    """Reshapes to a batch of two."""

    def forward(self, x: Tensor) -> Tensor:
        doubled = x + x
        return doubled.reshape(2, 2, 2)


class Narrow(nn.Module):
    """Holds for five samples at most, by another formula than for more."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 5:
            return x * 2
        return x + 1


class Twins(nn.Module):
    """Adds two sequences, which have to be of one length."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


class Noisy(nn.Module):
    """Draws random numbers, also in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        scaled = x * 2
        return scaled + torch.rand_like(scaled)


class Counting(nn.Module):
    """Keeps a state between calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.calls


class Ticking(nn.Module):
    """Counts its calls in a buffer, and adds the count where hardly anything shows it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ticks", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.ticks += 1
        return x * 2 + self.ticks * 1e-7


class Bessel(nn.Module):
    """Uses an operator that ONNX does not have."""

    def forward(self, x: Tensor) -> Tensor:
        halved = x / 2
        return torch.special.bessel_j0(halved)


class Answer(NamedTuple):
    """What Star returns."""

    total: Tensor
    doubled: Tensor


class Star(nn.Module):
    """Takes any number of tensors."""

    def forward(self, *tensors: Tensor) -> Answer:
        return Answer(tensors[0] + tensors[1], tensors[0] * 2)


class Named(nn.Module):
    """Takes its inputs by name, in another order than they are declared; returns a mapping."""

    def forward(
        self, bias: Tensor | None = None, *, x: Tensor, mask: Tensor | None = None
    ) -> dict[str, Tensor | None]:
        found = x * 2 if bias is None else x * 2 + bias
        return {"y": found if mask is None else found.masked_fill(mask, 0.0), "nothing": None}


class Brief(nn.Module):
    """Returns a type that no array holds."""

    def forward(self, x: Tensor) -> Tensor:
        return x.bfloat16()


class Stubborn(nn.Module):
    """Stays in training mode, whatever it is told; its dropout would change every answer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.drop = nn.Dropout(0.5)

    def train(self, _mode: bool = True) -> "Stubborn":
        return super().train(True)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.head(x))


class Picky(nn.Module):
    """Refuses a batch of seven."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return x * 2
        if x.shape[0] == 7:
            raise ValueError("seven is too many")
        return x * 2


class Scale(nn.Module):
    """One layer, for what is about files rather than models."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(self.layer(x))


def broken() -> nn.Module:
    """Raise, as a factory does whose data is not there."""
    raise FileNotFoundError("data/vocabulary.txt")


def number() -> int:
    """Return something that is no model."""
    return 3


def examples(batch_size: int = 2) -> dict[str, Tensor]:
    """Return what Scale takes."""
    return {"x": torch.rand(batch_size, 4)}


def bare_examples() -> Tensor:
    """Return three samples without saying their name."""
    return torch.arange(12.0).reshape(3, 4)
