"""A small server for one ONNX model: the Open Inference Protocol V2 on ONNX Runtime."""
