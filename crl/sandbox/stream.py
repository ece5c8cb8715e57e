"""The stream of one command: bytes in, bounded bytes out, until its end, a flood or the deadline.

Spoken on a socket of our own: the Python client reads the head of the answer through a buffer and then hands out
the bare socket, so output that arrives together with the head would be lost under load.
"""

import json
import select
import socket
import time
from enum import StrEnum

FRAME_HEAD = 8  # bytes: kind of stream, three zeros, length of the payload in big-endian order
READ_BYTES = 65_536
FLOOD_BYTES = 16 * 2**20  # a command that prints more is killed: what is kept is some kilobytes of it


class Ending(StrEnum):
    END = "end"  # every process that held the output is gone
    LATE = "late"  # the deadline passed first
    FLOOD = "flood"  # more than FLOOD_BYTES


class StreamRefused(ConnectionError):
    """The engine did not start the exec."""

    def __init__(self, status_code: int, reason: str) -> None:
        super().__init__(f"it answered {status_code}: {reason}")
        self.status_code = status_code


class Kept:
    """The head and the tail of an output of any length, in bounded memory."""

    def __init__(self, chars: int) -> None:
        self._head_chars = chars // 2
        self._tail_chars = chars - self._head_chars
        self._head, self._tail = bytearray(), bytearray()
        self.total = 0  # bytes seen

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = 4 * self._head_chars - len(self._head)  # a character takes at most four bytes
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 8 * self._tail_chars + READ_BYTES:
            del self._tail[: -4 * self._tail_chars]

    def begins_with(self, data: bytes) -> bool:
        return self._head.startswith(data)

    def text(self) -> str:
        cut = self.total - len(self._head) - len(self._tail)
        if not cut:
            whole = bytes(self._head + self._tail).decode(errors="replace")
            if len(whole) <= self._head_chars + self._tail_chars:
                return whole
        head = self._head.decode(errors="ignore")[: self._head_chars]
        tail = bytes(self._tail if cut else self._head + self._tail).decode(errors="replace")[-self._tail_chars :]
        gone = self.total - len(head.encode()) - len(tail.encode())
        return f"{head}\n[... {gone} bytes of output were cut here ...]\n{tail}"


class Stream:
    """An exec that runs: its standard input and output."""

    def __init__(self, connection: socket.socket, version: str, exec_id: str) -> None:
        self._socket, self._buffer = connection, bytearray()
        try:
            self._ask(version, exec_id)
        except BaseException:
            connection.close()
            raise

    def _ask(self, version: str, exec_id: str) -> None:
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        head = (
            f"POST /v{version}/exec/{exec_id}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
            f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)
        self._read_head()
        self._socket.setblocking(False)

    def _read_head(self) -> None:
        while b"\r\n\r\n" not in self._buffer:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the engine closed the connection")
            self._buffer += data
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
            raise StreamRefused(int(head.split()[1]), rest.decode(errors="replace").strip())
        self._buffer = bytearray(rest)

    def exchange(self, stdin: bytes, kept: Kept, deadline_s: float, until: bytes = b"") -> Ending:
        """Send the input and keep output until one of the endings; `deadline_s` on the monotonic clock.

        `until` ends it where the output begins with it. An engine that ends the stream while input lies unread resets
        the connection: with input that is an end too, and whoever asks for the exit code finds out whether the engine is lost.
        """
        waiting = memoryview(stdin)
        poll = select.poll()  # unlike `select`, it takes any number of open files
        while True:
            self._take_frames(kept)
            if until and kept.begins_with(until):
                return Ending.END
            if kept.total > FLOOD_BYTES:
                return Ending.FLOOD
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return Ending.LATE
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if waiting else 0))
            events = sum(event for _, event in poll.poll(1000 * left_s))
            if events & select.POLLOUT:
                waiting = self._send(waiting)
            if events & ~select.POLLOUT:
                try:
                    data = self._socket.recv(READ_BYTES)
                except ConnectionResetError:
                    if not stdin:
                        raise
                    data = b""
                if not data:
                    return Ending.END
                self._buffer += data

    def drain(self, deadline_s: float) -> Ending:
        """Drop what is still printed, until its end or the deadline."""
        while (ending := self.exchange(b"", Kept(2), deadline_s)) is Ending.FLOOD:
            pass
        return ending

    def _send(self, waiting: memoryview) -> memoryview:
        try:
            waiting = waiting[self._socket.send(waiting[:READ_BYTES]) :]
            if not waiting:
                self._socket.shutdown(socket.SHUT_WR)
            return waiting
        except (BrokenPipeError, ConnectionResetError):  # the command ended without reading all of it
            return memoryview(b"")

    def _take_frames(self, kept: Kept) -> None:
        start = 0
        while len(self._buffer) - start >= FRAME_HEAD:
            size = int.from_bytes(self._buffer[start + 4 : start + FRAME_HEAD], "big")
            if len(self._buffer) - start < FRAME_HEAD + size:
                break
            kept.add(bytes(self._buffer[start + FRAME_HEAD : start + FRAME_HEAD + size]))
            start += FRAME_HEAD + size
        del self._buffer[:start]

    def close(self) -> None:
        self._socket.close()
