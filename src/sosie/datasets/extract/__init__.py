"""From films and photos to aligned faces: `sosie dataset extract`."""
