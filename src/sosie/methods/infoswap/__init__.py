"""Method `infoswap`: its identity encoder and what the published checkpoints are called."""
