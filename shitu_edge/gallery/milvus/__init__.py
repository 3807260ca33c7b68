"""A gallery in Milvus, where many machines search it or it is larger than memory.

    collection.py   Milvus's collection as rows and a state; the only user of pymilvus
    search.py       MilvusGallery, which a recognizer searches
    push.py         putting a gallery there, and later only what has changed

A row is an item under one label, with the revisions that added and removed it; a renamed item has two. The collection's
properties name the one revision that counts, and a push sets it last. A search reads it and asks for that revision's
rows alone, so it sees the product list before a push or after it, never a mixture.

That rests on what Milvus promises from 2.4 on: a row is upserted whole, properties change all at once, and a search of
bounded staleness, which waits for nobody, sees what was written `gracefulTime` (5 s) before. So a push waits twice that
between its last row and the new revision.
"""

from .push import Pushed, push
from .search import MilvusGallery

__all__ = ["MilvusGallery", "Pushed", "push"]
