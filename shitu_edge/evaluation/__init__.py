"""How well a gallery and a bundle recognize: metrics on labeled images, or on the gallery's own items."""

from .embed_queries import embed_queries
from .evaluate import evaluate, leave_one_out
from .evaluation import Evaluation
from .paddleclas import pipeline_recall
from .queries import LabeledBox, LabeledPhoto, read_queries

__all__ = [
    "Evaluation",
    "LabeledBox",
    "LabeledPhoto",
    "embed_queries",
    "evaluate",
    "leave_one_out",
    "pipeline_recall",
    "read_queries",
]
