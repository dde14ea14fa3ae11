"""What the recipes of one-shot swappers share."""
