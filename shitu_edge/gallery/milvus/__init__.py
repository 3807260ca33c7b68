"""A gallery in Milvus, for searches by many machines or galleries larger than memory.

    collection.py   Milvus's collection as rows and a state; the only user of pymilvus
    search.py       MilvusGallery, which a recognizer searches
    push.py         sending a gallery, and later its changes

A row is an item under one label, with the revisions that added and removed it; a renamed item has two. The collection's
properties name the current revision, which a push sets last. A search reads it and asks for that revision's rows alone,
so it sees the product list before a push or after it, never a mixture.

This relies on guarantees of Milvus 2.4 and later: rows are upserted whole, properties change atomically, and a search
of bounded staleness sees what was written `gracefulTime` (5 s) before. So a push waits twice that between its last row
and the new revision.
"""

from .push import Pushed, push
from .search import MilvusGallery

__all__ = ["MilvusGallery", "Pushed", "push"]
