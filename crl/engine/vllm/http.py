"""One vLLM server over HTTP. Its answers are untrusted: parsed into plain values here, or refused."""

import contextlib
import json
from pathlib import Path
from typing import Any

import aiohttp  # httpx walks over all its connections at each request: with 32 episodes it took half of the client's time

from crl.errors import EngineError

_CONNECT_S = 10.0
_KEEP_ALIVE_S = 3.0  # idle connections are ours to close: vLLM closes them after 5 s
_RELOAD_S = 600.0
_SHOWN = 300  # characters of a server's own message in an error


class ServerGone(Exception):
    """The server did not answer, or it answered that it cannot (`answered`): another one may."""

    def __init__(self, why: str, answered: bool = False) -> None:
        super().__init__(why)
        self.answered = answered


Generated = tuple[list[int], list[float], str | None]  # token ids, their log-probs, why it ended


class VllmServer:
    """The calls that an engine makes, on one event loop.

    All raise ServerGone, or EngineError where asking elsewhere would not help.
    """

    def __init__(self, url: str, key: str | None, request_timeout_s: float) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.url, self._timeout_s = url, request_timeout_s
        # As many connections as requests; a proxy of the environment stands before the internet, not before these servers.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S)
        self._session = aiohttp.ClientSession(headers=headers, connector=connector, trust_env=False)

    async def healthy(self) -> bool:
        try:
            await self._call("GET", "/health", timeout=_CONNECT_S)
        except (ServerGone, EngineError):
            return False
        return True

    async def context_tokens(self) -> int:
        """The longest context that it serves."""
        answer = await self._call("GET", "/v1/models")
        try:
            return int(answer["data"][0]["max_model_len"])
        except (LookupError, TypeError, ValueError):
            raise EngineError(f"{self.url}: /v1/models is not vLLM's. Remedy: check the address") from None

    async def complete(self, prompt: list[int], settings: dict[str, Any], salt: str, adapter: str | None) -> Generated:
        """Generate from token ids by an adapter, or the model itself; what is cached of the prompt is shared under the same salt
        only."""
        body = {"prompt": prompt, "return_token_ids": True, "cache_salt": salt, **settings}
        if adapter is not None:
            body["model"] = adapter
        answer = await self._call("POST", "/v1/completions", body, lost_at=404 if adapter else None)
        try:
            choice = answer["choices"][0]
            ids = [int(token) for token in choice["token_ids"]]
            return ids, [float(value) for value in choice["logprobs"]["token_logprobs"]], choice["finish_reason"]
        except (LookupError, TypeError, ValueError):
            shown = repr(answer)[:_SHOWN]
            raise EngineError(
                f"{self.url}: no completion with token ids: {shown}. Remedy: vLLM 0.10 or newer"
            ) from None

    async def load(self, folder: Path) -> None:
        """Replace the weights by a folder's safetensors, between two steps."""
        body = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        await self._call("POST", "/collective_rpc", body, timeout=_RELOAD_S)
        await self._call("POST", "/reset_prefix_cache", timeout=_RELOAD_S)  # makes room; the salt is what protects

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Take up a folder in PEFT's format under a name, in place of one that an earlier run left under it."""
        with contextlib.suppress(EngineError):  # as a rule there is none
            await self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})
        try:
            await self._call(
                "POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(folder)}, timeout=_RELOAD_S
            )
        except EngineError as error:
            raise EngineError(f"{error}, with its argument `lora` for learn.<role>.lora") from None

    async def temper(self) -> bool:
        """Have log-probs taken after the temperature; False for a server without our extension."""
        try:
            await self._call("POST", "/collective_rpc", {"method": "crl_temper_logprobs"})
        except (ServerGone, EngineError):
            return False
        return True

    async def close(self) -> None:
        await self._session.close()

    async def _call(
        self, method: str, path: str, body: Any = None, timeout: float | None = None, lost_at: int | None = None
    ) -> Any:
        """What is asked for as plain values; None where the answer is no JSON. `lost_at`: the status of a server that was started
        anew meanwhile, and lacks what it held."""
        limits = aiohttp.ClientTimeout(total=timeout or self._timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._session.request(method, self.url + path, json=body, timeout=limits) as answer:
                status, text = answer.status, await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ServerGone(f"{self.url}: {type(error).__name__}: {error}") from error
        if status >= 500 or status == lost_at:
            raise ServerGone(f"{self.url}{path}: {status}: {text[:_SHOWN]!r}", answered=True)
        if status in (401, 403):
            raise EngineError(f"{self.url} refuses the key. Remedy: set CRL_VLLM_API_KEY to the server's VLLM_API_KEY")
        if status >= 400:
            remedy = "start it with crl.engine.vllm.serve.command" if status == 404 else "see its log"
            raise EngineError(f"{self.url}{path}: {status}: {text[:_SHOWN]!r}. Remedy: {remedy}")
        try:
            return json.loads(text)
        except ValueError:
            return None
