"""Method `infoswap`: its identity encoder and what the published checkpoints are called."""

from sosie.methods.weights import method_with_weights

METHOD = method_with_weights(
    "infoswap",
    "ask the authors for them, export the whole network as an ONNX file, which the method's page "
    "describes, and name that with --weights",
    interface="infoswap_512",
)
