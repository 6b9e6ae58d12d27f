"""Shipping a policy: ONNX with its metadata, read back with numpy and onnxruntime alone."""
