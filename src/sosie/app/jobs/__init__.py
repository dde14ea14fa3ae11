"""Swaps that wait in a file until they are run, one after the other."""
