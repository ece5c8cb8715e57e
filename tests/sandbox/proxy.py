"""A stand-in for the Docker engine's socket, so that the engine can be lost without stopping the one others use."""

import contextlib
import socket
import threading
from pathlib import Path


class Proxy:
    """Stands between us and the engine; `cut` loses it, `up = True` brings it back."""

    def __init__(self, path: Path, target: str) -> None:
        self._target, self.up = target, True
        self._open: list[socket.socket] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            if not self.up:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.up = False
        cut, self._open = self._open, []  # not what comes once it is up again, however slowly this thread runs
        for end in cut:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
