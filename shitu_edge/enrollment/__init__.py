"""Images → a gallery: decode, crop and embed many, add them in one go, report what is wrong with them.

enroll.py       build_gallery, add_images, replace_images
embed.py        an image, or the boxes in it, into gallery items
quality.py      what makes an item a poor one: its size, its edges, its sharpness
likeness.py     items that resemble each other, labels that are spelled alike
re_embed.py     a gallery for another extractor
rows_file.py    embeddings on their way there
witnesses.py    embeddings that came with images are those of this extractor
"""

from .embed import OnProduct
from .enroll import (
    Enrollment,
    NothingReadableError,
    add_images,
    bring_up_to_date,
    build_gallery,
    replace_images,
)
from .likeness import Resemblance
from .quality import EnrollmentQuality
from .re_embed import MissingPicturesError, ReEmbedding, kept_generations, re_embed
from .witnesses import check_vectors

__all__ = [
    "Enrollment",
    "EnrollmentQuality",
    "MissingPicturesError",
    "NothingReadableError",
    "OnProduct",
    "ReEmbedding",
    "Resemblance",
    "add_images",
    "bring_up_to_date",
    "build_gallery",
    "check_vectors",
    "kept_generations",
    "re_embed",
    "replace_images",
]
