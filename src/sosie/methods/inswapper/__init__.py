"""Method `inswapper`: its network and what its published checkpoint is called."""
