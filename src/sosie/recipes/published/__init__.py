"""Published networks: what they are, and how their files are read."""
