"""Train a small model."""

import json
from datetime import datetime
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from src.helpers import seed_all  # noqa: F401


def load(folder):
    return [torch.load(path) for path in Path(folder).glob("*.pt")]


def train(model, data):
    torch.backends.cudnn.benchmark = True  # audit: ignore[cudnn-benchmark] shapes are fixed, speed counts
    loader = DataLoader(data, batch_size=64, shuffle=True, num_workers=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for epoch in range(20):
        for batch in loader:
            with torch.cuda.amp.autocast():
                loss = model(batch.to("cuda")).mean()
            loss.backward()
            optimizer.step()
    result = {"loss": loss.item(), "finished": datetime.now().isoformat()}
    json.dump(result, open("result.json", "w"))  # audit: ignore[clock-in-results]


if __name__ == "__main__":
    train(torch.nn.Linear(4, 1).cuda(), load("data"))
