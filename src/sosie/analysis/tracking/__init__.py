"""Faces over the frames of a video."""
