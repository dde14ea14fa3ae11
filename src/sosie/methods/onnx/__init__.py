"""Method `onnx`: published swappers that users have on disk as ONNX files, run as they are."""

from sosie.methods.onnx.swapper import OnnxSwapper

METHOD = OnnxSwapper

__all__ = ["METHOD"]
