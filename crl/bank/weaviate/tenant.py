"""One run's entries on the server: objects written in checked batches, searched over gRPC, listed for a comparison."""

import uuid
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import weaviate
from weaviate.classes.data import DataObject
from weaviate.classes.query import Filter, MetadataQuery, Sort
from weaviate.collections import Collection

from crl.bank.records import entry_of, fields_of
from crl.bank.stores import Item
from crl.errors import BankError
from crl.types import Experience, stable_id

FORMAT = 3  # of one object; objects of another number differ, and their tenant is compared as a whole
BATCH = 100  # objects per request: even on a machine under load it ends within bank.weaviate.timeout_s
_KEYWORDS = ["text", "key_text"]


class Found(NamedTuple):
    """An entry as a search returns it."""

    entry: Experience
    vector: np.ndarray  # its key, float32 [D]
    number: int  # the order in which entries were placed
    score: float  # the server's, of a hybrid search; else 0


class Tenant:
    """The `Sink` of a run, and what its readers ask. Methods raise one of `client.FAULTS` when the server fails."""

    def __init__(self, client: weaviate.WeaviateClient, collection: Collection, run_id: str) -> None:
        self._client, self._collection, self._run_id = client, collection, run_id

    def close(self) -> None:
        self._client.close()

    # -- written by the projector -------------------------------------------------------------------------

    def mark(self) -> str:
        """What was noted last; empty when nothing was, or by a version that writes other objects."""
        found = self._collection.query.fetch_object_by_id(self._uuid("mark"), return_properties=["digest"])
        format_, _, mark = str(found.properties["digest"]).partition("|") if found else ("", "", "")
        return mark if format_ == str(FORMAT) else ""

    def note(self, mark: str) -> None:
        properties = {"purpose": "mark", "digest": f"{FORMAT}|{mark}"}
        self._insert([DataObject(properties=properties, uuid=self._uuid("mark"))], ["mark"])

    def put(self, items: Sequence[Item]) -> None:
        """Write objects, replacing those of the same entries. Raises BankError naming those that were refused."""
        for start in range(0, len(items), BATCH):
            chunk = items[start : start + BATCH]
            self._insert([self._object(item) for item in chunk], [item.record.entry.id for item in chunk])

    def delete(self, entry_ids: Sequence[str]) -> None:
        """Delete objects; those that are not there are none. Raises BankError when some could not be."""
        for start in range(0, len(entry_ids), BATCH):
            chunk = [self._uuid(id_) for id_ in entry_ids[start : start + BATCH]]
            answer = self._collection.data.delete_many(where=Filter.by_id().contains_any(chunk), verbose=True)
            if answer.failed:
                refused = {str(item.uuid): item.error or "" for item in answer.objects or () if not item.successful}
                raise _refusal(refused, len(chunk))

    def stored(self) -> dict[str, str]:
        listed = self._collection.iterator(return_properties=["entry_id", "digest"], cache_size=1000)
        found = {item.properties.get("entry_id"): str(item.properties.get("digest")) for item in listed}
        return {id_: digest.removeprefix(f"{FORMAT}:") for id_, digest in found.items() if id_}

    def _insert(self, objects: Sequence[DataObject], names: Sequence[str]) -> None:
        answer = self._collection.data.insert_many(objects)
        if answer.errors:
            raise _refusal({names[index]: error.message for index, error in answer.errors.items()}, len(objects))

    def _uuid(self, entry_id: str) -> uuid.UUID:
        """The same entry of the same run has the same id, so a repeated write changes nothing."""
        return uuid.UUID(stable_id(self._run_id, entry_id))

    def _object(self, item: Item) -> DataObject:
        record = item.record
        return DataObject(properties=_properties(item), uuid=self._uuid(record.entry.id), vector=record.vector.tolist())

    # -- asked by readers ---------------------------------------------------------------------------------

    def nearest(self, scope: str, query: np.ndarray, limit: int) -> list[Found]:
        """The entries of a scope that are nearest to a unit vector [D]; of equally near ones, any."""
        found = self._collection.query.near_vector(
            query.tolist(), limit=limit, filters=_in(scope), include_vector=True, return_metadata=[]
        )
        return list(map(_found, found.objects))

    def hybrid(self, scope: str, query: np.ndarray, text: str, alpha: float, limit: int) -> list[Found]:
        """Best first by keywords and vector together, as the server fuses them."""
        found = self._collection.query.hybrid(
            text, alpha=alpha, vector=query.tolist(), limit=limit, query_properties=_KEYWORDS, filters=_in(scope),
            include_vector=True, return_metadata=MetadataQuery(score=True),
        )  # fmt: skip
        return list(map(_found, found.objects))

    def newest(self, scope: str, key: np.ndarray, limit: int) -> list[Found]:
        """The newest of a scope's entries that have exactly this key [D]."""
        found = self._collection.query.fetch_objects(
            filters=_in(scope) & Filter.by_property("key").equal(_key(key)), limit=limit, include_vector=True,
            sort=Sort.by_property("number", ascending=False),
        )  # fmt: skip
        return list(map(_found, found.objects))


def _refusal(refused: dict[str, str], of: int) -> BankError:
    """What the server said of single objects of a batch."""
    told = "; ".join(f"{id_}: {' '.join(message.split())[:200]}" for id_, message in list(refused.items())[:3])
    return BankError(
        f"Weaviate refused {len(refused)} of {of} objects ({told}). Remedy: see its log; they are written again by the run, "
        "or by `crl bank index repair`"
    )


def _in(scope: str) -> Filter:
    return Filter.by_property("task").equal(scope)


def _key(vector: np.ndarray) -> str:
    """Equal keys have equal names."""
    return blake2b(vector.astype("<f4").tobytes(), digest_size=12).hexdigest()


def _properties(item: Item) -> dict[str, Any]:
    record, fields = item.record, fields_of(item.record.entry)
    return {
        "entry_id": fields.pop("id"),
        "completion": fields.pop("completion_id"),
        **fields,
        "family": item.family,
        "key": _key(record.vector),
        "number": record.number,
        "format": FORMAT,
        "digest": f"{FORMAT}:{item.digest}",
        "used": record.used,
        "successes": record.successes,
    }


def _found(item: Any) -> Found:
    told = item.properties
    numbers = {name: int(told[name]) for name in ("round", "shown", "last_shown_round", "written")}
    names = {"id": told["entry_id"], "completion_id": told["completion"], "parents": told["parents"] or ()}
    vector = item.vector["default"] if isinstance(item.vector, dict) else item.vector
    entry = entry_of({**told, **names, **numbers})
    return Found(entry, np.array(vector, np.float32), int(told["number"]), float(item.metadata.score or 0.0))
