"""Hypothesis looks for new cases on a laptop and repeats the known ones in CI.

A pull request must not turn red for a fault that another change left behind.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.exported import Zoo
from tests.mlflow_support import mlflow_server

__all__ = ["mlflow_server", "zoo"]  # one of each for all test files that ask

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Give real models, each exported when it is first asked for."""
    return Zoo(tmp_path_factory.mktemp("zoo"))
