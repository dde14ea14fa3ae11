"""Things to lay over a face whose truth is known to the pixel.

Each module draws a `layer.Layer`, which goes over any picture of the same face, so that a sample
and its answer can wear the same thing.
"""
