"""`ssh://[USER@]HOST[:PORT][/RUNTIME]`: which board, and what runs there."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from edge_cnn.core.errors import InputError
from edge_cnn.device.runtimes.table import find_runtime

FORM = "ssh://[USER@]HOST[:PORT][/RUNTIME]"

# The authority of RFC 3986: a colon may part host from port or be inside an address in brackets, so the runtime stands
# behind a slash, where a URL has its path. The characters are those of names and addresses: user and host may get into
# a ProxyCommand of the user's configuration, which a shell reads, and must not look like an option.
_ADDRESS = re.compile(
    r"//(?:(?P<user>\w[\w.+-]*)@)?"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>\w[\w.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/(?P<runtime>[^/]*))?",
    re.ASCII,
)


@dataclass(frozen=True)
class SshAddress:
    """Where to log in.

    Attributes:
        host: name, address, or a Host of the user's SSH configuration.
        user: None for what the configuration says, else who runs this.
        port: None for what the configuration says, else 22.
    """

    host: str
    user: str | None = None
    port: int | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """For the ssh client, its destination last."""
        login = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*login, *port, self.host)

    @property
    def login(self) -> str:
        """USER@HOST as ssh takes it."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def by_hand(self, program: str = "ssh") -> str:
        """A command for the user to type, for example "ssh -p 2222 pi@board"."""
        return shlex.join((program, *(("-p", str(self.port)) if self.port else ()), self.login))


def parse_address(text: str, rest: str) -> tuple[SshAddress, str | None]:
    """DEVICE and what stands behind its first colon -> where, and the RUNTIME in it if any.

    Raises:
        InputError: no such form, a port that is none, or an unknown runtime.
    """
    match = _ADDRESS.fullmatch(rest)
    if match is None:
        raise InputError(f"device {text!r} names no board; the known form is {FORM}, for example ssh://pi@board.local")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"device {text!r}: ports are 1..65535, got {port}; the known form is {FORM}")
    runtime = match["runtime"] or None
    if runtime is not None:
        find_runtime(runtime)
    return SshAddress(match["bracketed"] or match["host"], match["user"], port), runtime
