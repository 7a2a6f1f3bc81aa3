"""export: a checkpoint becomes an ONNX model that is proven equal, packaged and served."""
