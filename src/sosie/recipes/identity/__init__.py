"""The identity network's recipe and what it is made of."""
