"""Nearest neighbors by cosine: exact for small galleries, an hnswlib index for large ones."""

from .graph import MOST_LINKS, GraphIndex, GraphParameters, Ids, Progress, Rows, default_ef

__all__ = ["MOST_LINKS", "GraphIndex", "GraphParameters", "Ids", "Progress", "Rows", "default_ef"]
