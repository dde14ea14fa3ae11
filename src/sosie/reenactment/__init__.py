"""A photo moved by a video: what moves it, and how it is painted."""
