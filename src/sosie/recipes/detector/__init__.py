"""The detector's recipe and what it is made of."""
