"""Method `deepfakes`: the first face swapper, one encoder and a decoder a person."""
