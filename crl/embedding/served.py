"""Embeddings by OpenAI-compatible servers, behind the bank's `Embedder` protocol."""

import itertools
import time
from collections.abc import Sequence

import httpx
import numpy as np

from crl.config.addresses import secret
from crl.errors import EngineError

BATCH_TEXTS = 32
_PAUSE_S = 0.5  # between two rounds over servers that do not answer


class ServerEmbedder:
    """Asks its servers in turn; one that does not answer is passed over. May be used from several threads."""

    def __init__(self, urls: Sequence[str], name: str, *, timeout_s: float = 60.0, wait_s: float = 120.0) -> None:
        """`name` says which model the servers hold: vectors of different names never mix. Raises EngineError."""
        key = secret("VLLM_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.name = name
        self._clients = [
            httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False) for url in urls
        ]
        self._turn = itertools.count()
        self._wait_s = wait_s
        self.dim = self._ask(["dimension"]).shape[1]

    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        """L2-normalised float32 [N, D]; the server truncates what is longer than its context."""
        size = 1 if one_by_one else BATCH_TEXTS
        parts = [self._ask(list(texts[start : start + size])) for start in range(0, len(texts), size)]
        return np.concatenate(parts) if parts else np.empty((0, self.dim), np.float32)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _ask(self, texts: list[str]) -> np.ndarray:
        deadline, fault = time.monotonic() + self._wait_s, ""
        while True:
            for _ in self._clients:
                client = self._clients[next(self._turn) % len(self._clients)]
                try:
                    answer = client.post("/v1/embeddings", json={"input": texts, "truncate_prompt_tokens": -1})
                except httpx.HTTPError as error:
                    fault = f"{client.base_url}: {type(error).__name__}"
                    continue
                if answer.status_code < 500:
                    return _vectors(answer, len(texts))
                fault = f"{client.base_url}: {answer.status_code}"
            if time.monotonic() > deadline:
                raise EngineError(f"no embedding server answers: {fault}. Remedy: start one, or check servers.embedder")
            time.sleep(_PAUSE_S)


def _vectors(answer: httpx.Response, expected: int) -> np.ndarray:
    """[N, D] of an answer, which is untrusted."""
    try:
        rows = sorted(answer.json()["data"], key=lambda row: row["index"])
        vectors_ND = np.asarray([row["embedding"] for row in rows], dtype=np.float32)
        norms_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    except (LookupError, TypeError, ValueError):
        vectors_ND = norms_N1 = np.empty((0, 0), np.float32)
    if vectors_ND.ndim != 2 or len(vectors_ND) != expected or not (np.isfinite(norms_N1) & (norms_N1 > 0)).all():
        raise EngineError(
            f"{answer.url}: {answer.status_code}: no embeddings of {expected} texts: {answer.text[:300]!r}. "
            "Remedy: check servers.embedder, the key (CRL_VLLM_API_KEY) and the server's log"
        )
    return vectors_ND / norms_N1
