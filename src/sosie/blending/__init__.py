"""How a swapped face becomes part of the frame."""
