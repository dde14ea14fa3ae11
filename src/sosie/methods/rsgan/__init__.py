"""Method `rsgan`: face and hair in separate latent spaces."""

from sosie.methods.rsgan.swapper import RsganSwapper
from sosie.methods.weights import method_with_weights

METHOD = method_with_weights(
    "rsgan",
    "train some with `sosie train rsgan`, and name them with --weights, as "
    "RUN/snapshot.safetensors; none were published",
    trained=RsganSwapper,
)
