"""Names, files and random numbers."""
