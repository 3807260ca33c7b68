"""Galleries on their way: patches, exported folders, imports."""
