"""codex-home: what Codex may do, written as a home that trusts nothing it finds."""

from mlactions.codex_home.config import home_config, writing_config
from mlactions.codex_home.servers import Server

__all__ = ["Server", "home_config", "writing_config"]
