"""Debian packages of any architecture into a folder: apt with a state of its own, so without root, and dpkg -x."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError

SOURCES_VARIABLE = "EDGE_CNN_APT_SOURCES"
"""Names a list of package sources to take instead of the host's own, for hosts whose own have no such packages."""

LIMIT_S = 900

_CONFIG = """\
APT::Architecture "{architecture}";
#clear APT::Architectures;
APT::Architectures {{ "{architecture}"; }};
Dir::State "{folder}";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
// The one that root downloads as by default may not enter a home folder.
APT::Sandbox::User "root";
// The host's own hooks are for the host's own packages.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""

_NOT_FETCHED = re.compile(r"^[EW]: Failed to fetch \S+\s+(.+)$", re.MULTILINE)
_NO_PACKAGE = re.compile(r"Unable to locate package (\S+)|Package '?([^\s']+)'? has no installation candidate")
_ERROR = re.compile(r"^E: (.+)$", re.MULTILINE)


def missing_tools() -> str | None:
    """What of apt and dpkg is not on this machine, for a person; None where they are there."""
    absent = [name for name in ("apt-get", "dpkg") if shutil.which(name) is None]
    return f"{' and '.join(absent)} not found, it needs a Debian or Ubuntu host" if absent else None


def host_architecture() -> str:
    """As Debian calls it. Raises: DeviceUnavailableError: dpkg does not say."""
    return _run(["dpkg", "--print-architecture"], os.environ, "dpkg").strip()


def unpack_packages(names: Sequence[str], architecture: str, root: Path, *, dependencies: bool = True) -> list[str]:
    """Download packages and unpack them into `root`; nothing is installed on the host.

    Args:
        names: of the packages.
        architecture: as Debian calls it; any, whatever the host is.
        root: an existing folder that gets the file system tree.
        dependencies: with all that they depend on.

    Returns:
        The package files' names, "PACKAGE_VERSION_ARCHITECTURE.deb".

    Raises:
        DeviceUnavailableError: apt or dpkg is missing, the network is, or a package is.
        OSError: the folder cannot be written.
    """
    absent = missing_tools()
    if absent:
        raise DeviceUnavailableError(absent)
    # Beside the root, since /tmp may be too small.
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".apt-") as folder:
        files = _download(names, architecture, Path(folder), dependencies)
        for file in files:
            _run(["dpkg", "-x", str(file), str(root)], os.environ, "dpkg -x")
        return [file.name for file in files]


def _download(names: Sequence[str], architecture: str, folder: Path, dependencies: bool) -> list[Path]:
    for part in ("lists/partial", "archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    config = folder / "apt.conf"
    config.write_text(_CONFIG.format(architecture=architecture, folder=folder) + _chosen_sources())
    # Both ways: the architecture must be known before the host's own configuration is read, and ours must win after it.
    environment = os.environ | {"APT_CONFIG": str(config), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-y", "-c", str(config)]
    not_fetched = _update(apt, environment)
    if not_fetched:
        # A mirror that is being updated contradicts itself for a moment; and one list of several may be dispensable.
        not_fetched = _update(apt, environment)
    what = ["install", "--download-only", "--no-install-recommends"] if dependencies else ["download"]
    # "download" writes where it is started, "install" where it is configured to: to the same folder.
    fetched = _start([*apt, *what, *names], environment, folder / "archives")
    if fetched.returncode != 0:
        raise _failure(fetched.stdout + fetched.stderr, architecture, not_fetched)
    files = sorted((folder / "archives").glob("*.deb"))
    if not files:
        raise DeviceUnavailableError(f"apt-get fetched none of {', '.join(names)} for {architecture}; try it by hand")
    return files


def _chosen_sources() -> str:
    chosen = os.environ.get(SOURCES_VARIABLE)
    if not chosen:
        return ""
    path = Path(chosen).expanduser().absolute()
    if not path.is_file():
        raise DeviceUnavailableError(f"{SOURCES_VARIABLE} names no file: {path}; name one like /etc/apt/sources.list")
    return f'Dir::Etc::sourcelist "{path}";\nDir::Etc::sourceparts "-";\n'


def _update(apt: list[str], environment: Mapping[str, str]) -> str | None:
    """Fetch the lists of packages; what could not be fetched is told, but may not matter."""
    result = _start([*apt, "update"], environment)
    said = _NOT_FETCHED.search(result.stderr)
    if said:
        return said[1].strip()
    if result.returncode != 0:
        return _last(_ERROR.findall(result.stderr)) or f"apt-get update ended with status {result.returncode}"
    return None


def _failure(said: str, architecture: str, not_fetched: str | None) -> DeviceUnavailableError:
    fetch = _NOT_FETCHED.search(said)
    reason = fetch[1].strip() if fetch else not_fetched
    if reason:
        return DeviceUnavailableError(
            f"apt-get cannot fetch packages for {architecture}: {reason}; check the network and run it again"
        )
    absent = [first or second for first, second in _NO_PACKAGE.findall(said)]
    if absent:
        return DeviceUnavailableError(
            f"the package sources of this machine have no {', '.join(dict.fromkeys(absent))} for {architecture}, "
            f"Debian 12's have; add them, or name a list of sources that has it in {SOURCES_VARIABLE}"
        )
    detail = _last(_ERROR.findall(said)) or "it says nothing"
    return DeviceUnavailableError(f"apt-get cannot fetch packages for {architecture}: {detail}; mend it and run again")


def _run(command: list[str], environment: Mapping[str, str], what: str) -> str:
    result = _start(command, environment)
    if result.returncode != 0:
        detail = _last(result.stderr.splitlines()) or f"status {result.returncode}"
        raise DeviceUnavailableError(f"{what} failed: {detail}; make room or mend it, and run again")
    return result.stdout


def _start(
    command: list[str], environment: Mapping[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise DeviceUnavailableError(f"{command[0]} not found, it needs a Debian or Ubuntu host") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceUnavailableError(
            f"{command[0]} took more than {LIMIT_S} s; check the network and run it again"
        ) from error


def _last(lines: Sequence[str]) -> str:
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
