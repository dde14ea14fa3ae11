"""Method `ghost`: its networks and what the published checkpoints are called."""
