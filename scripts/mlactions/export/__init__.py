"""export: a checkpoint becomes an ONNX model that is proven equal, packaged and served."""

from mlactions.export.command import command
from mlactions.export.render import render

__all__ = ["command", "render"]
