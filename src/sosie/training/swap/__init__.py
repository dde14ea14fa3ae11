"""What swapping methods learn from: cached faces, and pairs made of them."""
