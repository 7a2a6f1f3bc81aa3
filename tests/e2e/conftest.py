"""What the end-to-end tests run on: this library, scratch repositories, a GitHub and a model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.bridge import Library, copy_library
from tests.e2e.harness import Act, tool_path
from tests.e2e.harness_repository import Files, Scratch
from tests.fakes.github import FakeGitHub
from tests.fakes.model import FakeModel, Turn

MakeScratch = Callable[..., Scratch]
MakeModel = Callable[..., FakeModel]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Copy this project, once, to what act can use."""
    return copy_library(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def codex() -> str:
    """Find the Codex CLI under test."""
    found = shutil.which("codex", path=tool_path())
    assert found, "scripts/dev/tools.sh did not bring the Codex CLI"
    return found


@pytest.fixture
def act(library: Library, tmp_path: Path) -> Act:
    """Give a way to run workflows that use this library."""
    return Act(tmp_path / "act", library)


@pytest.fixture
def scratch(tmp_path: Path) -> MakeScratch:
    """Make a user's repository: `scratch({"path": "content"})` is its first commit."""

    def make(files: Files, name: str = "octo/digits") -> Scratch:
        repository = Scratch(tmp_path / "repositories", name)
        repository.commit(files, "First commit")
        return repository

    return make


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """Start a GitHub that knows alice, who may write."""
    with FakeGitHub() as fake:
        fake.store.permissions["alice"] = "write"
        yield fake


@pytest.fixture
def model() -> Iterator[MakeModel]:
    """Start a scripted model: `model(runs("ls"), says("done"))`."""
    with ExitStack() as stack:

        def start(*turns: Turn, key: str | None = None) -> FakeModel:
            return stack.enter_context(FakeModel(*turns, key=key))

        yield start
