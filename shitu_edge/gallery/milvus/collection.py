"""A Milvus collection: rows with the revisions that added and removed them, and a state. The only user of pymilvus."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import GalleryError
from ...results import Match
from ..index import GraphParameters, Rows, default_ef
from ..store import GalleryItem

AT_ONCE = 1000
LABEL_BYTES = 65_535
NEVER = 2**31 - 1
"""`removed_in` of a current row."""
IDLE = "idle"
"""`push` of a state while no push is running."""

_NUMBERS = ("item", "added_in", "removed_in")
KEY_BITS = 24
"""A row's key is its item's id, with the revision that added it in the lower bits."""
_PROPERTY = "shitu_edge."
_GRAPH = GraphParameters()
_EF = default_ef(100_000)
"""Milvus splits a collection into parts, each with its own index."""


@dataclass(frozen=True, slots=True)
class State:
    """The properties of a collection.

    `digest` is that of the revision's content (`Revision.digest`). Revision 0 means that the first push has not
    completed. `push` names the running push.
    """

    gallery: str
    extractor: str
    fingerprint: str
    dim: int
    revision: int
    digest: str
    push: str


class Collection:
    """A collection of a Milvus server or Milvus Lite file; it need not exist."""

    def __init__(self, uri: str, name: str, token: str, timeout_s: float) -> None:
        """Connect. Raises `GalleryError` if pymilvus is missing, or the server does not answer."""
        self.local = uri.endswith(".db")
        self.place = f"{re.sub('//.*@', '//', uri)}, collection {name}"
        self._name = name
        self._timeout_s = timeout_s
        self._milvus = _import_pymilvus()
        taken = self.local and os.path.exists(uri)
        with self._mapped_errors("; is another process using it, or is it another kind of file?" if taken else ""):
            self._client = self._milvus.MilvusClient(uri, token=token, timeout=timeout_s)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def exists(self) -> bool:
        """Return whether it has been created."""
        with self._mapped_errors():
            return bool(self._client.has_collection(self._name, timeout=self._timeout_s))

    def create(self, state: State) -> None:
        """Create it, empty, or complete an interrupted creation."""
        if not self.exists():
            types = self._milvus.DataType
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("key", types.INT64, is_primary=True)
            for field in _NUMBERS:
                schema.add_field(field, types.INT64)
            schema.add_field("label", types.VARCHAR, max_length=LABEL_BYTES)
            schema.add_field("embedding", types.FLOAT_VECTOR, dim=state.dim)
            facts = {"consistency_level": "Bounded", "properties": _properties(**asdict(state))}
            with self._mapped_errors():
                self._client.create_collection(self._name, schema=schema, timeout=self._timeout_s, **facts)
        self._create_index("embedding", "HNSW", "COSINE", M=_GRAPH.m, efConstruction=_GRAPH.ef_construction)
        for field in _NUMBERS:
            self._create_index(field, "INVERTED")
        self.load()

    def _create_index(self, field: str, kind: str, metric: str = "", **parameters: int) -> None:
        with self._mapped_errors():
            if field not in self._client.list_indexes(self._name, timeout=self._timeout_s):
                index = self._client.prepare_index_params()
                index.add_index(field, index_type=kind, index_name=field, metric_type=metric, params=parameters)
                self._client.create_index(self._name, index, timeout=self._timeout_s, sync=False)

    def load(self) -> None:
        """Load it for reading, in case it was released."""
        with self._mapped_errors():
            self._client.load_collection(self._name, timeout=None if self.local else self._timeout_s)

    def state(self) -> State:
        """Read the properties. Raises `GalleryError` if it does not exist, or was not created by a push."""
        with self._mapped_errors():
            found = self._client.describe_collection(self._name, timeout=self._timeout_s)["properties"]
        facts = {name: found.get(_PROPERTY + name) for name in State.__slots__}
        if None in facts.values():
            raise GalleryError(f"{self.place}: was not created by `shitu-edge gallery push`")
        return State(**(facts | {name: int(facts[name]) for name in ("dim", "revision")}))

    def record(self, **facts: object) -> None:
        """Set properties of the state, atomically."""
        with self._mapped_errors():
            self._client.alter_collection_properties(self._name, _properties(**facts), timeout=self._timeout_s)

    def has_graph(self) -> bool:
        """Return whether its index is HNSW; an administrator may have replaced it."""
        with self._mapped_errors():
            index = self._client.describe_index(self._name, "embedding", timeout=self._timeout_s)
        return bool(index and index["index_type"] == "HNSW")

    def search(self, queries: Rows, k: int, revision: int, *, graph: bool) -> list[tuple[Match, ...]]:
        """Return each query's `k` nearest items of a revision, ties by id."""
        parameters = {"ef": max(_EF, k)} if graph else {}
        with self._mapped_errors():
            answers = self._client.search(
                self._name,
                data=queries,
                anns_field="embedding",
                limit=k,
                filter=at(revision),
                output_fields=["item", "label"],
                search_params={"metric_type": "COSINE", "params": parameters},
                consistency_level="Bounded",
                timeout=self._timeout_s,
            )
        return [tuple(sorted(map(_match, hits), key=_by_similarity)) for hits in answers]

    def read(self, condition: str, fields: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        """Yield all rows that meet a condition, some at a time, including everything written before."""
        with self._mapped_errors():
            rows = self._client.query_iterator(
                self._name,
                batch_size=AT_ONCE,
                filter=condition,
                output_fields=["key", *fields],
                consistency_level="Strong",
                timeout=self._timeout_s,
            )
            try:
                while batch := rows.next():
                    yield batch
            finally:
                rows.close()

    def insert(self, items: Sequence[GalleryItem], embeddings: Rows, revision: int) -> None:
        """Write the rows of items that a revision adds; existing ones are overwritten."""
        self._upsert(
            {
                "key": item.id << KEY_BITS | revision,
                "item": item.id,
                "label": item.label,
                "added_in": revision,
                "removed_in": NEVER,
                "embedding": embedding,
            }
            for item, embedding in zip(items, embeddings, strict=True)
        )

    def set_removed(self, condition: str, revision: int) -> None:
        """Mark rows as removed. They are rewritten whole, as Milvus before 2.6 cannot change single fields."""
        for rows in self.read(condition, ["*"]):
            self._upsert({**row, "removed_in": revision} for row in rows)

    def delete(self, condition: str) -> None:
        """Delete rows, by key: by condition, Milvus might miss recent writes."""
        keys = [row["key"] for rows in self.read(condition, []) for row in rows]
        for start in range(0, len(keys), AT_ONCE):
            with self._mapped_errors():
                self._client.delete(self._name, ids=keys[start : start + AT_ONCE], timeout=self._timeout_s)

    def flush(self) -> None:
        """Flush, so that Milvus Lite builds its index; servers flush automatically."""
        with self._mapped_errors():
            self._client.flush(self._name)

    def _upsert(self, rows: Iterable[dict[str, Any]]) -> None:
        with self._mapped_errors():
            self._client.upsert(self._name, list(rows), timeout=self._timeout_s)

    @contextmanager
    def _mapped_errors(self, hint: str = "") -> Iterator[None]:
        import grpc  # pymilvus brings it

        try:
            yield
        except self._milvus.MilvusException as error:
            raise GalleryError(f"{self.place}: {_first_line(error.message)}{hint}") from error
        except grpc.RpcError as error:
            message = error.details() if isinstance(error, grpc.Call) else str(error)
            raise GalleryError(f"{self.place}: {_first_line(message)}{hint}") from error


def at(revision: int) -> str:
    """Return the condition for rows of a revision."""
    return f"added_in <= {revision} and removed_in > {revision}"


def _match(hit: dict[str, Any]) -> Match:
    return Match(hit["entity"]["item"], hit["entity"]["label"], min(max(hit["distance"], -1.0), 1.0))


def _by_similarity(match: Match) -> tuple[float, int]:
    return -match.similarity, match.item_id


def _properties(**facts: object) -> dict[str, str]:
    return {_PROPERTY + name: str(value) for name, value in facts.items()}


def _first_line(message: str) -> str:
    return message.strip().partition("\n")[0]


def _import_pymilvus() -> Any:
    first = "pymilvus" not in sys.modules
    try:
        import pymilvus
    except ImportError as error:
        raise GalleryError(f"Milvus needs pymilvus ({error}); pip install pymilvus") from error
    if first:  # it prints a stack trace for every error it raises
        for name in ("pymilvus", "pymilvus.milvus_client", "milvus_lite"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus
