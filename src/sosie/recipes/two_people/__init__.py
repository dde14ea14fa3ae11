"""What the recipes of networks of two people share: faces, samples, losses, files."""
