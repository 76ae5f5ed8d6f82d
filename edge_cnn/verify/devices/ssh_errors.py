"""What the ssh client complains of -> one line that says what to do."""

from __future__ import annotations

import re

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.ssh_address import SshAddress


class ConnectionLostError(DeviceUnavailableError):
    """A connection that stood and then broke: worth another try, and no artifact's fault."""


def explain(said: str, address: SshAddress) -> str:
    """The client's stderr of a login that failed -> what was wrong and what to do."""
    for pattern, sentence in _SENTENCES:
        match = pattern.search(said)
        if match:
            return sentence(match, said, address)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f"the login failed: {lines[-1] if lines else 'ssh gave no reason'}; try it by hand: {address.by_hand()}"


def _unknown_host(match: re.Match[str], said: str, address: SshAddress) -> str:
    del said
    return (
        f"unknown host {address.host!r} ({match[1].strip()}); check its name, use its address, or give it a Host entry "
        "in ~/.ssh/config"
    )


def _refused(match: re.Match[str], said: str, address: SshAddress) -> str:
    del said
    return (
        f"{address.host} refuses connections on port {match[1]}; start the SSH server there "
        "(Debian: sudo apt-get install openssh-server), or give its port: ssh://USER@HOST:PORT"
    )


def _unreachable(match: re.Match[str], said: str, address: SshAddress) -> str:
    del said
    return f"{address.host} does not answer ({match[1].strip()}); is it switched on, and in this network?"


def _changed_key(match: re.Match[str], said: str, address: SshAddress) -> str:
    del match
    name = re.search(r"Host key for (\S+) has changed", said)
    file = re.search(r"Offending .*key in (.+):\d+", said)
    place = f" -f {file[1]}" if file else ""
    return (
        f"its host key has changed, so somebody may be posing as {address.host}; only if you know that "
        f"the board was set up anew, forget the old key: ssh-keygen{place} -R '{name[1] if name else address.host}'"
    )


def _unknown_key(match: re.Match[str], said: str, address: SshAddress) -> str:
    del match, said
    return (
        "its host key is not known here; log in once by hand, compare the fingerprint that is shown with the board's "
        f"own, and accept it: {address.by_hand('ssh -o StrictHostKeyChecking=ask').replace(chr(39), '')}"
    )


def _wrong_key(match: re.Match[str], said: str, address: SshAddress) -> str:
    too_open = re.search(r"Permissions \S+ for '(.+?)' are too open", said)
    if too_open:
        return f"ssh does not use the key {too_open[1]}, which others can read; chmod 600 {too_open[1]}"
    return (
        f"it does not let {address.login} in with any key at hand ({match[1]}); "
        f"bring your public key there: {address.by_hand('ssh-copy-id')}"
    )


def _closed(match: re.Match[str], said: str, address: SshAddress) -> str:
    del said
    return (
        f"{address.host} ended the connection before the login ({match[0].strip()}); is it an SSH server? "
        f"Its own log says why; try it by hand: {address.by_hand()}"
    )


# In this order: a changed key also fails as "Host key verification failed".
_SENTENCES = tuple(
    (re.compile(pattern, re.IGNORECASE), sentence)
    for pattern, sentence in (
        (r"Could not resolve hostname [^:]+: (.+)", _unknown_host),
        (r"port (\d+): Connection refused", _refused),
        (r"(Connection timed out|Operation timed out|timed out)", _unreachable),
        (r"(No route to host|Network is unreachable|Host is down|Network is down)", _unreachable),
        (r"HOST IDENTIFICATION HAS CHANGED|Host key for \S+ has changed", _changed_key),
        (r"Host key verification failed|host key is known for", _unknown_key),
        (r"(Permission denied[^\n]*|Too many authentication failures)", _wrong_key),
        (r"(Connection (?:closed|reset) by[^\n]*|kex_exchange_identification[^\n]*)", _closed),
    )
)
