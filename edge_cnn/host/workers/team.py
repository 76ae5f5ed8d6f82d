"""A worker's bond with the others: collective sums while it trains, and the watch over who is still there.

The engine is TensorFlow's MultiWorkerMirroredStrategy. A peer that dies leaves the others waiting in a sum for many
seconds, so the connections of the meeting stay open: their end is told by the system at once.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.tensorflow_import import import_tensorflow, stderr_kept_back
from edge_cnn.host.workers.cluster import VARIABLE, Cluster
from edge_cnn.host.workers.meeting import Meeting
from edge_cnn.host.workers.wire import BrokenMessageError, receive, send

PEER_LOST = 75
"""Exit status of a worker that could not go on because another was lost (EX_TEMPFAIL of sysexits.h)."""

SECONDS_TO_END = 20.0
"""How long a worker, which may be waiting in a sum for one that has failed, may take to end by itself."""


class Team:
    """The workers that this one trains with."""

    def __init__(self, cluster: Cluster, meeting: Meeting) -> None:
        """Start TensorFlow's server on this worker's address; nothing may have used TensorFlow before."""
        self.cluster, self.state = cluster, meeting.state
        self._connections = meeting.connections
        self._ended = threading.Event()
        self._status: int | None = None
        self.is_ending = self._stop_asked = False
        self._watch = threading.Thread(target=self._watch_peers, daemon=True)
        self._watch.start()
        # TensorFlow reads where to listen from the environment.
        os.environ[VARIABLE] = cluster.to_tf_config()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with stderr_kept_back():
            import tensorflow as tf

            # The ring adds in the same order on all workers, so all of them get the same bits.
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy(
                communication_options=tf.distribute.experimental.CommunicationOptions(
                    implementation=tf.distribute.experimental.CommunicationImplementation.RING
                )
            )
        self._tf, _ = import_tensorflow()
        self._sum: Callable[..., Any] = self._tf.function(
            lambda values: self.strategy.run(self.add, args=([values],))[0],
            autograph=False,
            input_signature=[self._tf.TensorSpec((None,), self._tf.float32)],
        )

    @property
    def is_chief(self) -> bool:
        return self.cluster.is_chief

    def add(self, tensors: list[Any]) -> list[Any]:
        """Sums over the workers of float32 tensors, in one message; to be called inside `strategy.run`."""
        tf = self._tf
        flat = tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(total, [tf.size(tensor) for tensor in tensors], num=len(tensors))
        return [tf.reshape(part, tf.shape(tensor)) for part, tensor in zip(parts, tensors, strict=True)]

    def total(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Sum over the workers of an array (n,); all of them have to ask for it."""
        return self._sum(np.asarray(values, np.float32)).numpy()

    def of_chief(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The chief's values (n,) on all workers, bit for bit."""
        return self.total(values if self.is_chief else np.zeros_like(values))

    def agree(self, steps: int) -> int:
        """The chief's number of steps; `is_ending` is the same on all workers from here on to the next time."""
        chosen, stops = self.total(np.array([steps if self.is_chief else 0, self._stop_asked])).tolist()
        self.is_ending = stops > 0
        return round(chosen)

    def hear_ctrl_c(self) -> None:
        """Let Ctrl-C end the training where all workers know of it, not in the middle of a sum."""

        def ask(*_: Any) -> None:
            self._stop_asked = True

        signal.signal(signal.SIGINT, ask)

    def end(self, status: int, message: str = "") -> int:
        """Tell the others with which status this worker ends; others than the chief wait for the chief's.

        Args:
            status: 0, or that of an error.
            message: of the error.

        Returns:
            the chief's status.
        """
        self._ended.set()
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                if status or self.is_chief:
                    send(connection, {"end": status, "message": message})
        if self.is_chief:
            return status
        self._watch.join()
        return PEER_LOST if self._status is None else self._status

    def _watch_peers(self) -> None:
        with selectors.DefaultSelector() as selector:
            for index, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, index)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            while selector.get_map():
                for key, _ in selector.select():
                    connection: Any = key.fileobj
                    try:
                        message, _ = receive(connection)
                    except BrokenMessageError:
                        selector.unregister(connection)
                        if not self._ended.is_set():
                            _leave(PEER_LOST)
                        continue
                    self._hear(int(key.data), message)

    def _hear(self, index: int, message: dict[str, Any]) -> None:
        """Another worker ends: so does this one, by itself or else by force."""
        status = message.get("end")
        if not isinstance(status, int):
            return
        self._status = status
        if self._ended.is_set():
            return

        def force() -> None:
            if not self._ended.is_set():
                sys.stderr.write(f"error: worker {index} ended: {message.get('message')}\n")
                _leave(status or PEER_LOST)

        timer = threading.Timer(SECONDS_TO_END, force)
        timer.daemon = True
        timer.start()


def _leave(status: int) -> None:
    """End at once: the main thread may wait in a sum that nobody will ever complete."""
    sys.stderr.flush()
    os._exit(status)
