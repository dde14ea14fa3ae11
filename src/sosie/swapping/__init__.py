"""Who gets whose face, and the swap of a face, a frame and a video."""
