"""A program of its own: onnxruntime rewrites a graph. It may crash, so it runs apart.

`python -I reshaping.py REQUEST`, a JSON object with `source`, `target`, `quantize`, `optimize`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any


def main(path: Path) -> None:
    """Quantise, then optimise, as the request says."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: its official builds report usage
    request = json.loads(path.read_text(encoding="utf-8"))
    source, target = Path(request["source"]), Path(request["target"])
    if request["quantize"] == "dynamic-int8":
        between = target.with_name("quantized.onnx") if request["optimize"] != "none" else target
        quantize(source, between, external=request["external"])
        source = between
    if request["optimize"] != "none":
        optimize(source, target, request["optimize"], external=request["external"])


def quantize(source: Path, target: Path, *, external: bool) -> None:
    """Store weights as 8-bit integers; activations are quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Signed weights of convolutions have no kernel on CPUs.
    quantize_dynamic(
        source,
        target,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=[
            "MatMul",
            "Gemm",
            "Attention",
            "LSTM",
            "Gather",
            "EmbedLayerNormalization",
        ],
        use_external_data_format=external,
        extra_options={"DefaultTensorType": 1},
    )


def optimize(source: Path, target: Path, level: str, *, external: bool) -> None:
    """Write the graph as onnxruntime would run it at this level."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = getattr(levels, f"ORT_ENABLE_{level.upper()}")
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    if external:
        prefix = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{prefix}_file_name", f"{target.name}.data")
        options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
