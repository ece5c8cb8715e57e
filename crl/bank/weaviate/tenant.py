"""One run's entries on the server: written in checked batches, searched over gRPC, listed for a repair."""

import uuid
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, MetadataQuery
from weaviate.collections import Collection

from crl.bank.index import Hit
from crl.bank.weaviate.objects import Counters, counters_of, digest_of, experience_of, properties_of
from crl.errors import BankError
from crl.types import Experience

BATCH = 100  # objects per request: even on a machine under load it ends within bank.weaviate.timeout_s
_KEYWORDS = ["text", "key_text"]


class Item(NamedTuple):
    """What is written of an entry."""

    id: uuid.UUID
    entry: Experience
    vector: np.ndarray
    family: str
    counters: Counters


class Stored(NamedTuple):
    """What tells whether an object is up to date."""

    digest: str
    counters: Counters


class Tenant:
    """Every method raises one of `client.FAULTS` when the server fails it."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def put(self, items: Sequence[Item]) -> None:
        """Write objects, replacing those of the same id. Raises BankError naming those that were refused."""
        for start in range(0, len(items), BATCH):
            chunk = items[start : start + BATCH]
            answer = self._collection.data.insert_many([_object(item) for item in chunk])
            if answer.errors:
                refused = {chunk[index].entry.id: error.message for index, error in answer.errors.items()}
                raise refusal(refused, len(chunk))

    def delete(self, ids: Sequence[uuid.UUID]) -> None:
        """Delete objects; those that are not there are none. Raises BankError when some could not be."""
        for start in range(0, len(ids), BATCH):
            chunk = ids[start : start + BATCH]
            answer = self._collection.data.delete_many(where=Filter.by_id().contains_any(chunk), verbose=True)
            if answer.failed:
                refused = {str(item.uuid): item.error or "" for item in answer.objects or () if not item.successful}
                raise refusal(refused, len(chunk))

    def nearest(self, scope: str, query: np.ndarray, limit: int) -> list[uuid.UUID]:
        """The ids of about the nearest entries of a scope to a vector [D]."""
        found = self._collection.query.near_vector(
            query.tolist(), limit=limit, filters=_in(scope), return_properties=[], return_metadata=[]
        )
        return [item.uuid for item in found.objects]

    def hybrid(
        self, scope: str, query: np.ndarray, text: str, alpha: float, limit: int
    ) -> list[tuple[uuid.UUID, float]]:
        """Ids and scores by keywords and vector together, best first."""
        found = self._collection.query.hybrid(
            text, alpha=alpha, vector=query.tolist(), limit=limit, query_properties=_KEYWORDS, filters=_in(scope),
            return_properties=[], return_metadata=MetadataQuery(score=True),
        )  # fmt: skip
        return [(item.uuid, float(item.metadata.score or 0.0)) for item in found.objects]

    def entries(
        self, scope: str, query: np.ndarray, limit: int, text: str | None = None, alpha: float | None = None
    ) -> list[tuple[Hit, np.ndarray]]:
        """Whole entries with their vectors, for those who hold no copy: by vector, or hybrid where a text is given."""
        options = {"limit": limit, "filters": _in(scope), "include_vector": True}
        if text is None or alpha is None:
            found = self._collection.query.near_vector(query.tolist(), **options)
        else:
            found = self._collection.query.hybrid(
                text, alpha=alpha, vector=query.tolist(), query_properties=_KEYWORDS,
                return_metadata=MetadataQuery(score=True), **options,
            )  # fmt: skip
        return [
            (Hit(experience_of(item.properties), float(item.metadata.score or 0.0)), _vector(item.vector))
            for item in found.objects
        ]

    def stored(self) -> dict[uuid.UUID, Stored]:
        """All objects of the tenant."""
        return dict(self._listed())

    def _listed(self) -> Iterator[tuple[uuid.UUID, Stored]]:
        for item in self._collection.iterator(return_properties=["digest", *Counters._fields], cache_size=1000):
            yield item.uuid, Stored(str(item.properties.get("digest")), counters_of(item.properties))


def refusal(refused: dict[str, str], of: int) -> BankError:
    """What the server said of single objects of a batch."""
    told = "; ".join(f"{id_}: {' '.join(message.split())[:200]}" for id_, message in list(refused.items())[:3])
    return BankError(
        f"Weaviate refused {len(refused)} of {of} objects ({told}). Remedy: see its log; `crl bank index repair` writes "
        "them again"
    )


def _object(item: Item) -> DataObject:
    digest = digest_of(item.entry, item.vector, item.family)
    properties = properties_of(item.entry, item.family, item.counters, digest)
    return DataObject(properties=properties, uuid=item.id, vector=item.vector.tolist())


def _in(scope: str) -> Filter:
    return Filter.by_property("task").equal(scope)


def _vector(vectors: dict | list) -> np.ndarray:
    return np.array(vectors["default"] if isinstance(vectors, dict) else vectors, np.float32)
