"""Losses that several methods share, each with the paper and the equation that it is from.

All return a single float32 number, unweighted. Weights belong to the recipes.
"""
