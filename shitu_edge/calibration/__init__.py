"""Which score may name a product: thresholds that a gallery derives from its own items."""

from .calibrator import Calibrator
from .score import NEIGHBORS, candidates_of, score_of, scores_of, similarity_needed
from .threshold import (
    FEWEST_PRODUCTS,
    UnknownScores,
    estimated_threshold,
    promised_threshold,
)
from .unknown import LOWEST_SCORE, chosen_queries, unknown_scores

__all__ = [
    "FEWEST_PRODUCTS",
    "LOWEST_SCORE",
    "NEIGHBORS",
    "Calibrator",
    "UnknownScores",
    "candidates_of",
    "chosen_queries",
    "estimated_threshold",
    "promised_threshold",
    "score_of",
    "scores_of",
    "similarity_needed",
    "unknown_scores",
]
