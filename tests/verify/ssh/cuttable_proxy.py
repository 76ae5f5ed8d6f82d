"""A cable on loopback that can be cut, now or after so many bytes, or that swallows what is sent."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading


class CuttableProxy:
    """Forwards connections to a port of 127.0.0.1.

    Args:
        target: port that it forwards to.

    Attributes:
        port: where it listens.
        sent: bytes that each connection carried to the target.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent: list[int] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._left: int | None = None
        self._frozen = False
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections at once; new ones work."""
        with self._lock:
            self._end_all()

    def cut_after(self, sent: int) -> None:
        """Cut when `sent` more bytes have gone to the target."""
        with self._lock:
            self._left = sent

    def freeze(self) -> None:
        """Swallow everything on the connections there are; new ones work."""
        with self._lock:
            self._frozen = True

    def close(self) -> None:
        # Closing alone would leave the thread that waits in `accept` to take one connection more.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _end_all(self) -> None:
        for pair in self._pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), timeout=10)
            except OSError:
                return
            far.settimeout(None)
            with self._lock:
                self.sent.append(0)
                self._frozen = False
                self._pairs.append((near, far))
                number = len(self.sent) - 1
            threading.Thread(target=self._forward, args=(near, far, number), daemon=True).start()

    def _forward(self, near: socket.socket, far: socket.socket, number: int) -> None:
        frozen = False
        with selectors.DefaultSelector() as selector, near, far:
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in selector.select(timeout=0.2):
                    try:
                        data = key.fileobj.recv(1 << 14)
                        if not data:
                            return
                        frozen = frozen or self._frozen
                        if frozen:
                            continue
                        if key.fileobj is near:
                            data = self._within_budget(data)
                            self.sent[number] += len(data)
                        key.data.sendall(data)
                    except OSError:
                        return
                if self._left == 0:
                    with self._lock:
                        self._left = None
                        self._end_all()
                    return

    def _within_budget(self, data: bytes) -> bytes:
        with self._lock:
            if self._left is None:
                return data
            data = data[: self._left]
            self._left -= len(data)
            return data
