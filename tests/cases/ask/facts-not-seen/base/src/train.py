import torch

LEARNING_RATE = 0.5  # was 0.01
EPOCHS = 30


def train(model: torch.nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
