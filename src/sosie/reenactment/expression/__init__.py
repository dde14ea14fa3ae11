"""The network `expression`: it moves a swapped face to the expression of its target."""
