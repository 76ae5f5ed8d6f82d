"""A board on this machine: an sshd of our own on loopback, with keys, port, folder and Python of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

INSTALL = "apt-get install openssh-server openssh-client"
STARTING_S = 10.0


def sshd_path() -> str | None:
    """Where sshd is; it lies outside a user's PATH."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/libexec")


def what_is_missing() -> str | None:
    """What keeps a loopback sshd from running here, for a skip."""
    if sshd_path() is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return f"no OpenSSH server and client here; get them with: {INSTALL}"
    return None


class LoopbackSshd:
    """A running sshd for whoever runs this.

    Args:
        folder: for its keys and configuration, and for the board's home; a new one.
        environment: variables of the sessions there, over its defaults.
        wrapper: a shell script that every command goes through; it runs $SSH_ORIGINAL_COMMAND.

    Attributes:
        port: on 127.0.0.1.
        config: for the client: `EDGE_CNN_SSH_CONFIG`.
        cache: the board's EDGE_CNN_CACHE.
        bin: the first folder of its PATH, with its python3.
    """

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None, wrapper: str | None = None) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        (self.bin / "python3").symlink_to(os.path.realpath(sys.executable))
        self.port = free_port()
        for name in ("host_key", "user_key"):
            keygen(folder / name)
        self.authorize(folder / "user_key.pub")
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.touch()
        self.know(self.port)
        self.config = folder / "config"
        self.write_config()
        self.log = folder / "log"
        self._write_sshd_config(environment or {}, wrapper)
        self._start()

    def _start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it drops its privileges, as its service makes it
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(sshd_path()), "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        self._wait()

    @property
    def device(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}"

    def authorize(self, public_key: Path) -> None:
        shutil.copy(public_key, self.folder / "authorized_keys")

    def know(self, port: int, key: Path | None = None) -> None:
        """Let the client know the host key, or another one, under a port of 127.0.0.1."""
        kind, data = (key or self.folder / "host_key.pub").read_text().split()[:2]
        with self.known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {kind} {data}\n")

    def write_config(self, *lines: str) -> None:
        """The client's configuration; `lines` come first, and the first value counts."""
        text = (
            *lines,
            f"IdentityFile {self.folder / 'user_key'}",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f"UserKnownHostsFile {self.known_hosts}",
            "GlobalKnownHostsFile /dev/null",
        )
        self.config.write_text("\n".join(text) + "\n")

    def reload(self) -> None:
        """Read the configuration again, for sessions from now on."""
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _write_sshd_config(self, environment: dict[str, str], wrapper: str | None) -> None:
        variables = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "EDGE_CNN_CACHE": str(self.cache),
            # How this machine's pip reaches its index is how its own board does.
            **{k: v for k, v in os.environ.items() if k.startswith("PIP_") or k.lower().endswith("_proxy")},
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR") or str(Path("~/.cache/pip").expanduser()),
            **environment,
        }
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            f"PidFile {self.folder / 'pid'}",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "StrictModes no",  # the temporary folder's parents belong to others
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
            "SetEnv " + " ".join(f'{name}="{value}"' for name, value in variables.items()),
        ]
        if wrapper is not None:
            script = self.folder / "wrapper"
            script.write_text(f"#!/bin/sh\n{wrapper}\n")
            script.chmod(0o755)
            lines.append(f"ForceCommand {script}")
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def _wait(self) -> None:
        deadline = time.monotonic() + STARTING_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"the loopback sshd does not start: {self.log.read_text()}")


def keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
