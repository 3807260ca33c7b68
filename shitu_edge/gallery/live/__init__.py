"""A gallery in memory, which follows its file, and its index."""
