"""Method `blendswap`: its network and what its published checkpoint is called."""
