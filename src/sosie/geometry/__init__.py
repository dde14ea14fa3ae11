"""Where a face's points are, and what maps one place to another."""
