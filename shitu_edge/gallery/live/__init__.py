"""A gallery in memory: a view that follows its file, and the index behind it."""
