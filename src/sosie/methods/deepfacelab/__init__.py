"""Method `deepfacelab`: networks of two people, DF, LIAE and AMP, and what they are called."""

from sosie.methods.two_people import two_people_method

METHOD = two_people_method("deepfacelab")
