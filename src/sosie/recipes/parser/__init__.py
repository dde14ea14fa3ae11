"""The parser's recipe and what it is made of."""
