"""Slots of the limit `gpu`: taken and given back, and freed where their holder has ended and nobody gives them back.

Prefect's own context manager loses a slot when the server restarts meanwhile and has forgotten its lease: it renews and gives
back by the lease alone. This one knows then that the slot is still counted, and gives it back by the limit's name.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, VariableCreate
from prefect.client.schemas.responses import ConcurrencyLimitWithLeaseResponse
from prefect.events import emit_event
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.logging import get_run_logger

from crl.doctor.slots import EVENT, FREED, GPU, Slots, read_slots

# The server writes the task run's start to SQLite just when a slot is asked for, answers 503 in that case, and Prefect's
# client then waits 2 s. Asked for a moment later, 1 of 12 slots meets a 503 instead of 10 (measured).
_SETTLE_S = 0.25
_LEASE_S = 60.0  # the shortest that the server takes: a killed run's slot is free again after it
_RENEW_S = 20.0
_QUIET_S = 20.0  # for which nobody takes a slot or gives one back before any is freed: events arrive within seconds
_CLAIM_S = 300  # of one run at a time to free slots, should it die meanwhile


async def ensure_gpu_limit() -> None:
    """Create the limit, with one slot, where it is missing; a number that a team has set stays."""
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=GPU, limit=1))


@asynccontextmanager
async def slot() -> AsyncIterator[None]:
    """A slot for the block, waited for. Where the limit was deleted nothing is waited for."""
    await asyncio.sleep(_SETTLE_S)
    granted = await _granted()
    if not granted.limits:
        yield
        return
    limit, lease = str(granted.limits[0].id), _Lease(granted.lease_id)
    _tell("acquired", limit)
    try:
        with lease:
            yield
    finally:
        await asyncio.to_thread(lease.give_back)
        _tell("released", limit)


async def _granted() -> ConcurrencyLimitWithLeaseResponse:
    """Ask until a slot is free; whoever has asked for a while looks who holds them."""
    began, seen, told = time.monotonic(), None, False
    async with get_client() as client:
        while True:
            try:
                answer = await client.increment_concurrency_slots_with_lease([GPU], 1, "concurrency", _LEASE_S)
                return ConcurrencyLimitWithLeaseResponse.model_validate(answer.json())
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.LOCKED:
                    raise
                pause_s = min(float(error.response.headers["Retry-After"]), _QUIET_S)
            if time.monotonic() - began >= _QUIET_S:
                before, seen = seen, await asyncio.to_thread(_read)
                if seen is not None and seen == before:
                    if seen.lost:
                        await asyncio.to_thread(free, seen)
                    elif seen.unknown and not told:
                        told = True
                        get_run_logger().warning(unknown_told(seen))
                pause_s = _QUIET_S
            await asyncio.sleep(pause_s)


class _Lease:
    """A slot's lease. A thread renews it: in lockstep the event loop is busy for minutes."""

    def __init__(self, id_: UUID) -> None:
        self._id = id_
        self._began_s = self._renewed_s = time.monotonic()
        self._forgotten = False  # by a server that restarted: it could not have expired
        self._ending = threading.Event()

    def __enter__(self) -> None:
        threading.Thread(target=copy_context().run, args=(self._go_on,), name="crl-gpu-lease", daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._ending.set()

    def _go_on(self) -> None:
        with get_client(sync_client=True) as client:
            while not self._ending.wait(_RENEW_S):
                with suppress(httpx.HTTPError):  # a server that restarts is back soon
                    self._renew(client)

    def _renew(self, client: SyncPrefectClient) -> None:
        asked_s = time.monotonic()
        try:
            client.renew_concurrency_lease(self._id, _LEASE_S)
            self._renewed_s = asked_s
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.GONE and asked_s - self._renewed_s < _LEASE_S:
                self._forgotten = True

    def give_back(self) -> None:
        with get_client(sync_client=True) as client:
            if not self._forgotten:
                self._renew(client)
            if self._forgotten:
                client.release_concurrency_slots([GPU], 1, time.monotonic() - self._began_s)
            else:
                client.release_concurrency_slots_with_lease(self._id)


def free(seen: Slots) -> None:
    """Free the slots that runs held which have ended, and say so; nothing where anything has changed since they were seen.

    One run at a time: two that freed the same slot would free another's with it.
    """
    claim = f"crl_gpu_freed_{int(time.time()) // _CLAIM_S}"
    with get_client(sync_client=True) as client:
        try:
            client.create_variable(VariableCreate(name=claim, value=GPU))
        except ObjectAlreadyExists:
            return
        try:
            if _read() != seen:
                return
            client.release_concurrency_slots([GPU], seen.lost, 1.0)
            for holder in seen.ended:
                _tell("released", seen.limit, holder.unit)
            get_run_logger().warning(lost_told(seen))
        finally:
            with suppress(ObjectNotFound):
                client.delete_variable_by_name(claim)


def lost_told(seen: Slots) -> str:
    return (
        f"{seen.lost} of Prefect's slots of `{GPU}` were held by runs that have ended: {seen.ended_told}. "
        "The server that counted them has restarted and forgotten their leases. They are free now"
    )


def unknown_told(seen: Slots) -> str:
    return (
        f"{seen.unknown} of Prefect's slots of `{GPU}` are taken, and no run is known to hold them: waiting. Remedy, when no "
        f"update runs on this server: prefect global-concurrency-limit update {GPU} --active-slots 0"
    )


def _read() -> Slots | None:
    with get_client(sync_client=True) as client:

        def ask(path: str, payload: object) -> Any:
            try:
                return client.request("GET" if payload is None else "POST", path, json=payload).json()
            except httpx.HTTPStatusError as error:
                if error.response.status_code != httpx.codes.NOT_FOUND:
                    raise
                return None

        return read_slots(ask)


def _tell(what: str, limit: str, unit: str | None = None) -> None:
    """The event that Prefect's own context manager sends; `unit`: of one that cannot do so any more."""
    resource = {"prefect.resource.id": f"{EVENT}.{limit}", "prefect.resource.name": GPU, "slots-acquired": "1"}
    emit_event(f"{EVENT}.{what}", resource=resource, payload={FREED: unit} if unit else None)
