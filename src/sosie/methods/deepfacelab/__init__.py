"""Method `deepfacelab`: networks of two people, DF, LIAE and AMP, and what they are called."""
