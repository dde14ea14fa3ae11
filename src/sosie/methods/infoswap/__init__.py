"""Method `infoswap`: its networks and what the published checkpoints are called."""

from sosie.methods.weights import PictureSwapper, method_with_weights

METHOD = method_with_weights(
    "infoswap",
    "train some with `sosie train infoswap` and name them with --weights, as "
    "RUN/snapshot.safetensors; or ask the authors for theirs, export the whole network as an ONNX "
    "file, which the method's page describes, and name that",
    interface="infoswap_512",
    trained=PictureSwapper,
)
