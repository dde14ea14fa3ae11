"""From videos and photos to aligned faces: `sosie dataset extract`."""
