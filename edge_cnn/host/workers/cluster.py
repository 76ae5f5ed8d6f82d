"""Who trains together: the addresses of all workers, and which of them this process is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import InputError

VARIABLE = "TF_CONFIG"
"""The environment variable in which cluster managers tell TensorFlow the same."""


@dataclass(frozen=True)
class Cluster:
    """Workers that train one network together.

    Attributes:
        addresses: "host:port" of each, in an order that all of them have.
        index: place of this worker in it; 0 is the chief, which writes the files.
    """

    addresses: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        for address in self.addresses:
            split_address(address)
        if len(set(self.addresses)) < len(self.addresses):
            raise InputError(f"worker addresses {','.join(self.addresses)}: one stands there twice; give each its own")
        if not 0 <= self.index < len(self.addresses):
            raise InputError(
                f"worker index {self.index}: there are {len(self.addresses)} worker addresses, "
                f"so it goes from 0 to {len(self.addresses) - 1}"
            )

    @property
    def workers(self) -> int:
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def part(self, count: Any) -> tuple[Any, Any]:
        """First and one past the last of this worker's share of `count` samples, a number or an integer tensor."""
        return self.index * count // self.workers, (self.index + 1) * count // self.workers

    def to_tf_config(self) -> str:
        """As TensorFlow reads it."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})


def split_address(address: str) -> tuple[str, int]:
    """Host and port.

    Raises:
        InputError: it is not "host:port".
    """
    host, colon, port = address.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f"worker address {address!r}: give host:port, as in 192.168.1.5:4000")
    return host.strip("[]"), int(port)


def read_tf_config(environment: Mapping[str, str]) -> Cluster | None:
    """The cluster of the environment variable; None without it, or with one worker.

    Raises:
        InputError: another content than workers and the index of one.
    """
    if not environment.get(VARIABLE):
        return None
    try:
        content = json.loads(environment[VARIABLE])
        roles, task = content["cluster"], content["task"]
        addresses, kind, index = tuple(roles["worker"]), task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{VARIABLE} holds no cluster of workers and task ({error!r}); correct or unset it") from error
    if set(roles) != {"worker"} or kind != "worker":
        raise InputError(f"{VARIABLE} names other roles than 'worker', {sorted({*roles, kind})}; use workers alone")
    return Cluster(addresses, index) if len(addresses) > 1 else None
