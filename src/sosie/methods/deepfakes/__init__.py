"""Method `deepfakes`: the first face swapper, one encoder and a decoder a person."""

from sosie.methods.two_people import two_people_method

METHOD = two_people_method("deepfakes")
