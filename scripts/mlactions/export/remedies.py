"""What to do about a reason, in a sentence; backticks mark code."""

from __future__ import annotations

from collections.abc import Mapping

REMEDIES: Mapping[str, str] = {
    "external-data-missing": "Keep `model.onnx` and its data file together, under their names.",
    "external-data-changed": "Export again: the model and its data are not of one export.",
    "output-order": "Return the outputs in the order of `outputs`.",
    "output-missing": "Return every output from `forward`, and name it in `outputs`.",
    "axis-frozen": "Declare the axis dynamic for every input that has it.",
    "batch-specialised": "Write `x.shape[0]` or `-1` where a reshape or view has a number.",
    "axis-specialised": "Slice or compute by the length at hand, not by the example's.",
    "training-mode": "Call `model.eval()`, and pass no `training=True` to functional layers.",
    "random-operator": "Draw random numbers outside of `forward`, or only while training.",
    "constant-output": "Compute the output from the inputs inside `forward`, on tensors.",
    "specialised-constant": "Replace `.item()`, `int()`, NumPy and branches on values by"
    " tensor code, as `torch.where`.",
    "not-finite": "Look for overflow in this precision, or for a mask of infinities.",
    "reference-not-finite": "Mask with large finite numbers, and keep roots, logarithms and"
    " divisions within their domain; or give `example-inputs` that the model is made for.",
    "runtime-crashed": "Export in fp32 or with another opset, or serve with another onnxruntime.",
    "runtime-timed-out": "Raise `timeout-minutes`, or look for a loop without end.",
    "provider-absent": "Install the build of onnxruntime that has the provider, or drop it.",
    "task-metric": "Keep the sensitive layers in fp32, or give `task-tolerance` a reason.",
    "inputs-alike": "Give `example-inputs` with more samples that differ, or declare shapes.",
    "matrix-incomplete": "Export again with the default `batch-sizes`.",
    "top1-changed": "Allow less: scores this close change places within the tolerance.",
    "small-values-off": "Return large and small values as outputs of their own.",
    "small-output-off": "Scale the output up before it is returned, or allow less for it.",
    "tolerance-large": "Write a `tolerance` below 1, or one for the output that needs it.",
    "tolerance-below-noise": "Allow more than the noise, or compare on one thread.",
    "state-kept": "Keep no state between calls in eval mode: return it, and take it as an input.",
    "input-unused": "Remove the input, if it is meant to be without effect.",
}
