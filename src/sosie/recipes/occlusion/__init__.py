"""Things that may lie before a face, drawn, and which pixels of a face are bare."""
