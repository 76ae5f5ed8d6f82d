"""What the host has done on a board over SSH: sent there with each command, for the board's own Python.

The standard library alone, since nothing else need be there yet, and nothing of the board's installed packages is
looked at. Everything lives in one folder, which may be deleted at any time:

    environments/KEY/          a virtual environment with numpy and the light runtimes
    device-side/FINGERPRINT/   sources of edge_cnn
    incoming/                  files on their way; SHA256.part is a transfer that can go on

    look     what is there                            receive  a file, from where an earlier try stopped
    unpack   received sources                         install  the environment

An answer is one line of JSON behind `MARK`, since a login shell may print what it likes before it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import io
import json
import os
import platform
import re
import select
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import IO, Any

MARK = "edge-cnn-board: "
READY = "ready"
"""A file in an environment that is complete; its time is that of the last use."""
DAYS_KEPT = 7
NEEDED_BYTES = 400 * 2**20
"""For an environment: numpy, LiteRT and ONNX Runtime take 250 MB unpacked, their wheels 60 MB."""
SILENCE_S = 60.0
"""A transfer that brings nothing for so long has lost its host."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class KeeperError(Exception):
    """Something the host can explain to its user: a kind, and a detail."""


def look(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """What is there, and what kind of board it is."""
    return {
        "machine": machine(),
        "python": list(sys.version_info[:3]),
        "libc": list(platform.libc_ver()),
        "root": str(root),
        "sources": source_folder(root, request).is_dir(),
        "environments": [ready.parent.name for ready in (root / "environments").glob(f"*/{READY}")],
    }


def machine() -> str:
    """The machine that wheels are built for: a 32-bit system on a 64-bit kernel is an armv7l."""
    name = platform.machine().lower()
    if struct.calcsize("P") == 4 and name in {"aarch64", "arm64", "armv8l"}:
        return "armv7l"
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(name, name)


def source_folder(root: Path, request: dict[str, Any]) -> Path:
    """Where the sources of the host's fingerprint lie."""
    return root / "device-side" / request["fingerprint"]


def receive(root: Path, request: dict[str, Any], stdin: IO[bytes]) -> dict[str, Any]:
    """Take a file of known hash and size; what is there of it already need not come again.

    The first answer says from where the host is to send, the second that the file is whole.
    """
    sha256, size = request["sha256"], request["size"]
    incoming = root / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    whole, part = incoming / request.get("name", sha256), incoming / f"{sha256}.part"
    with lock(root / "incoming.lock", SILENCE_S + 30):
        if whole.exists() and hashlib.sha256(whole.read_bytes()).hexdigest() == sha256:
            answer({"offset": size, "sha256": sha256})
            return {}
        with part.open("ab+") as file:
            file.seek(0)
            held = file.read()
            if len(held) > size:
                file.truncate(0)
                held = b""
            # The host compares: what an earlier try left may be damaged.
            answer({"offset": len(held), "sha256": hashlib.sha256(held).hexdigest()})
            if next_bytes(stdin, 1) == b"n":
                file.truncate(0)
            while chunk := next_bytes(stdin, 1 << 16):
                # As it comes, so that a broken transfer leaves what came.
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        data = part.read_bytes()
        if len(data) < size:
            raise KeeperError("broken", f"{len(data)} of {size} bytes came")
        if hashlib.sha256(data).hexdigest() != sha256:
            part.unlink()
            raise KeeperError("damaged", f"what came of {sha256[:12]} has another hash")
        part.replace(whole)
    return {}


def next_bytes(source: IO[bytes], size: int) -> bytes:
    """At most `size` bytes that the host has sent; none where it has ended, or is gone."""
    readable, _, _ = select.select([source], [], [], SILENCE_S)
    return os.read(source.fileno(), size) if readable else b""


def unpack(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Received sources -> a folder to import from; sources that nobody uses any more go."""
    folder, archive = source_folder(root, request), root / "incoming" / request["sha256"]
    with lock(root / "incoming.lock", SILENCE_S + 30):
        if not folder.is_dir():
            made = folder.with_name(f".making-{folder.name}")
            shutil.rmtree(made, ignore_errors=True)
            with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as file:
                file.extractall(made)
            # As pip does: else the first start pays for it, and a folder that is read-only later does so each time.
            subprocess.run([sys.executable, "-I", "-m", "compileall", "-q", str(made)], check=False, stdout=2)
            made.rename(folder)
        for stale in folder.parent.iterdir():
            if stale != folder:
                remove_unused(stale)
        for file in (root / "incoming").iterdir():
            if file == archive or time.time() - file.stat().st_mtime > DAYS_KEPT * 24 * 3600:
                file.unlink()
    return {}


def install(root: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Make the environment of `key`; goes on where an interrupted one stopped.

    With "wheels" they come from `incoming` alone, else from wherever this board's pip gets them.
    """
    folder = root / "environments" / request["key"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with lock(root / "environments.lock", 1800):
        if (folder / READY).exists():
            return {}
        if not has_module("ensurepip"):
            raise KeeperError("venv", f"{sys.version_info.major}.{sys.version_info.minor}")
        free = shutil.disk_usage(folder.parent).free
        if free < NEEDED_BYTES:
            raise KeeperError("space", f"{free / 2**20:.0f} MB free in {root}, {NEEDED_BYTES / 2**20:.0f} MB needed")
        for stale in folder.parent.iterdir():
            used = stale / READY
            if stale != folder and time.time() - (used if used.exists() else stale).stat().st_mtime > DAYS_KEPT * 86400:
                remove_unused(stale)
        system = ["--system-site-packages"] if request["system"] else []
        run([sys.executable, "-I", "-m", "venv", *system, str(folder)], "venv-failed", root)
        pip = [
            str(folder / "bin" / "python"),
            "-I",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ]
        source = ["--no-index", "--find-links", str(root / "incoming")] if request["wheels"] else ["--retries", "1"]
        run([*pip, "--quiet", "--only-binary=:all:", *source, *request["requirements"]], "pip", root)
        (folder / READY).touch()
        for name in request["wheels"]:
            (root / "incoming" / name).unlink(missing_ok=True)
    return {}


def has_module(name: str) -> bool:
    """Debian ships `venv` without the part that makes one."""
    from importlib.util import find_spec

    return find_spec(name) is not None


def run(command: list[str], kind: str, root: Path) -> None:
    """Run a step of the set-up; its output is told only where it fails."""
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode == 0:
        return
    said = done.stdout.decode(errors="replace")
    if any(os.strerror(number) in said for number in NO_SPACE):
        free = shutil.disk_usage(root).free
        raise KeeperError("space", f"{free / 2**20:.0f} MB free in {root}")
    if re.search(
        "NewConnectionError|ConnectTimeout|name resolution|Network is unreachable|Max retries|Read timed", said
    ):
        raise KeeperError("network", last_error(said))
    raise KeeperError(kind, last_error(said) or f"exit status {done.returncode}")


def last_error(said: str) -> str:
    """The line that matters: pip's last ERROR, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or [""])[-1]


@contextlib.contextmanager
def lock(path: Path, seconds: float) -> Generator[None]:
    """Alone on this board; another host may be setting it up as well."""
    with path.open("w") as file:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise KeeperError("busy", f"another set-up holds {path}") from None
                time.sleep(0.2)
        yield


def remove_unused(folder: Path) -> None:
    """Remove a folder unless an agent runs from it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # In use, or on a file system that cannot tell.
    finally:
        os.close(handle)


def answer(values: dict[str, Any]) -> None:
    """One line to the host."""
    sys.stdout.write(f"{MARK}{json.dumps(values)}\n")
    sys.stdout.flush()


def main(request: dict[str, Any]) -> int:
    """Do what the host asks and answer; the exit status is always 0."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = Path(os.environ.get("EDGE_CNN_CACHE") or f"{base}/edge_cnn").expanduser() / "board"
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "look": lambda: look(root, request),
        "receive": lambda: receive(root, request, sys.stdin.buffer),
        "unpack": lambda: unpack(root, request),
        "install": lambda: install(root, request),
    }
    try:
        root.mkdir(parents=True, exist_ok=True)
        answer(steps[request["op"]]())
    except KeeperError as error:
        kind, detail = error.args
        answer({"error": kind, "detail": detail})
    except OSError as error:
        kind = "space" if error.errno in NO_SPACE else "file"
        where = error.filename or root
        answer({"error": kind, "detail": f"{error.strerror}: {where}"})
    return 0
