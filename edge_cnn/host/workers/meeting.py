"""Workers meet before they train: all are there, and all have the same configuration, data and versions.

They meet in plain sockets, before TensorFlow starts its own server on the same addresses: TensorFlow waits for a peer
without end, and trains with different data without a word.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError, UnavailableError
from edge_cnn.host.workers.cluster import Cluster, split_address
from edge_cnn.host.workers.wire import BrokenMessageError, receive, send

SECONDS_BETWEEN_TRIES = 0.2
SECONDS_FOR_A_HELLO = 10.0
GREETING = "edge-cnn worker"


@dataclass(frozen=True)
class Meeting:
    """What the workers came away with.

    Attributes:
        connections: of the chief, to each other worker by index; of another worker, to the chief, as {0: ...}.
        state: what the chief brought for all, as bytes; empty for nothing.
    """

    connections: dict[int, socket.socket]
    state: bytes


def meet(cluster: Cluster, facts: dict[str, Any], timeout: float, state: bytes = b"") -> Meeting:
    """Wait for all workers and compare what they are going to do.

    Args:
        cluster: who.
        facts: name -> value, as JSON can hold; the same on all workers.
        timeout: seconds to wait for the last one.
        state: of the chief, for all.

    Raises:
        InputError: another configuration or data than the chief's; an address of another machine.
        UnavailableError: an address in use, or a worker that did not come.
    """
    deadline = time.monotonic() + timeout
    if cluster.is_chief:
        return _receive_all(cluster, facts, deadline, timeout, state)
    _listen(cluster).close()  # TensorFlow's own failure to get it would be pages long.
    return _join(cluster, facts, deadline, timeout)


def first_difference(mine: Any, theirs: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """The first entry in which two values differ: its name, and both values; None where they are equal."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            found = first_difference(mine.get(key), theirs.get(key), f"{name} {key}".strip())
            if found is not None:
                return found
        return None
    return None if mine == theirs else (name, mine, theirs)


def _listen(cluster: Cluster) -> socket.socket:
    """A socket on this worker's address."""
    address = cluster.addresses[cluster.index]
    host, port = split_address(address)
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        # Also where connections of a training that was there before are still being closed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UnavailableError(
                f"worker {cluster.index} cannot have its address {address}: it is in use; "
                "end what uses it, or give another port to all workers"
            ) from error
        raise InputError(
            f"worker {cluster.index} cannot have its address {address} ({error.strerror or error}); "
            "give an address of this machine, or another --worker-index"
        ) from error
    return listener


def _receive_all(cluster: Cluster, facts: dict[str, Any], deadline: float, timeout: float, state: bytes) -> Meeting:
    connections: dict[int, socket.socket] = {}
    try:
        with _listen(cluster) as listener:
            while len(connections) < cluster.workers - 1:
                missing = next(index for index in range(1, cluster.workers) if index not in connections)
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise UnavailableError(
                        f"worker {missing} ({cluster.addresses[missing]}) did not come within {timeout:g} s; "
                        "start it with the same options, or look at the network between the machines"
                    )
                listener.settimeout(remaining)
                with contextlib.suppress(TimeoutError):
                    _receive_one(listener.accept()[0], connections, cluster, facts)
        for connection in connections.values():
            connection.settimeout(None)
            with contextlib.suppress(OSError):  # It has gone again, which the watch over the connections will see.
                send(connection, {"go": True}, state)
    except BaseException as error:
        for connection in connections.values():
            with contextlib.suppress(OSError):
                send(connection, {"refused": str(error) or "the chief ended"})
            connection.close()
        raise
    return Meeting(connections, state)


def _receive_one(
    connection: socket.socket, connections: dict[int, socket.socket], cluster: Cluster, facts: dict[str, Any]
) -> None:
    """Add the worker that connected, if it is one; compare it with the chief."""
    connection.settimeout(SECONDS_FOR_A_HELLO)
    try:
        hello, _ = receive(connection)
    except (BrokenMessageError, TimeoutError):
        hello = {}
    index = hello.get("index")
    if hello.get("greeting") != GREETING or not isinstance(index, int) or not 0 < index < cluster.workers:
        connection.close()  # A port scanner, or whatever else knocks at ports.
        return
    if index in connections:  # It was started again while the others waited.
        connections[index].close()
    connections[index] = connection
    difference = first_difference(facts, hello.get("facts"))
    if difference is not None:
        name, mine, theirs = difference
        raise InputError(
            f"worker {index} has {name} {theirs!r}, the chief {mine!r}; "
            "give all workers the same options, data and versions"
        )


def _join(cluster: Cluster, facts: dict[str, Any], deadline: float, timeout: float) -> Meeting:
    """Say hello until the chief answers it: it may come later, or go and come again."""
    chief = cluster.addresses[0]
    hello = {"greeting": GREETING, "index": cluster.index, "facts": facts}
    unknown = ""
    while (remaining := deadline - time.monotonic()) > 0:
        connection = None
        try:
            connection = socket.create_connection(split_address(chief), timeout=remaining)
            if connection.getsockname() == connection.getpeername():
                # Where nobody listens yet, the system may give this end the very port that it calls.
                raise BrokenMessageError("connected to itself")
            send(connection, hello)
            connection.settimeout(max(deadline - time.monotonic(), SECONDS_BETWEEN_TRIES))
            answer, state = receive(connection)
        except (OSError, BrokenMessageError) as error:
            if connection is not None:
                connection.close()
            # Names of machines that are just being started may come to be known.
            unknown = str(error.strerror) if isinstance(error, socket.gaierror) else ""
            time.sleep(min(SECONDS_BETWEEN_TRIES, max(deadline - time.monotonic(), 0)))
            continue
        if "refused" in answer:
            connection.close()
            raise InputError(f"the chief let nobody begin: {answer['refused']}")
        connection.settimeout(None)
        return Meeting({0: connection}, state)
    if unknown:
        raise UnavailableError(
            f"worker {cluster.index} cannot find the chief at {chief}: the name is not known here ({unknown}); "
            "correct it in the addresses of all workers, or give a number as in 192.168.1.5:4000"
        )
    raise UnavailableError(
        f"the chief at {chief} did not let worker {cluster.index} begin within {timeout:g} s; "
        "start all workers with the same addresses, or look at the network between them"
    )
