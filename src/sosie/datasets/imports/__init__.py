"""Sets of faces that other tools made, read as data: none of their pickles is run."""
