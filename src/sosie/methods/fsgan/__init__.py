"""Method `fsgan`: its networks and what the published checkpoints are called."""
