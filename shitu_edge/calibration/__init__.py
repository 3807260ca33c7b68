"""Which score may name a product: thresholds that a gallery derives from its own items."""

from .calibrator import Calibrator
from .leave_out import LOWEST_SCORE, chosen_queries, foreign_scores, leave_out, random_claims
from .naming import BY_SIMILARITY, Naming
from .probability import Probability, fit_probability
from .samples import KnownScores, Samples, UnknownScores
from .score import (
    COVERAGE,
    NEIGHBORS,
    candidates_of,
    label_bests,
    label_score,
    not_ruled_out,
    score_of,
    scores_of,
    shares_of,
    similarity_needed,
)
from .stored import Queries, Stored, forget, sampled, store
from .threshold import (
    FEWEST_PRODUCTS,
    estimated_threshold,
    foreign_threshold,
    products_needed,
    promised_threshold,
    threshold_for_wrong,
)

__all__ = [
    "BY_SIMILARITY",
    "COVERAGE",
    "FEWEST_PRODUCTS",
    "LOWEST_SCORE",
    "NEIGHBORS",
    "Calibrator",
    "KnownScores",
    "Naming",
    "Probability",
    "Queries",
    "Samples",
    "Stored",
    "UnknownScores",
    "candidates_of",
    "chosen_queries",
    "estimated_threshold",
    "fit_probability",
    "foreign_scores",
    "foreign_threshold",
    "forget",
    "label_bests",
    "label_score",
    "leave_out",
    "not_ruled_out",
    "products_needed",
    "promised_threshold",
    "random_claims",
    "sampled",
    "score_of",
    "scores_of",
    "shares_of",
    "similarity_needed",
    "store",
    "threshold_for_wrong",
]
