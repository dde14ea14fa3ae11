"""Weight files and what runs them."""
