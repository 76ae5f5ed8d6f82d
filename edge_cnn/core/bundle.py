"""`NAME.edgecnn`: one stored ZIP with manifest, artifacts, golden samples and replay embeddings.

The reader trusts nothing: member names, links, compression and sizes are checked before any content is read, hashes
before any content is used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import BundleError, DataError
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.stored_zip import STORED, Member, list_members, read_member

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_cnn.core.samples import GoldenSamples, ReplaySamples

SUFFIX = ".edgecnn"
MANIFEST, GOLDEN, REPLAY = "manifest.json", "golden.npz", "replay.npz"
MAX_MEMBERS = 64
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_MEMBER_BYTES = 2**30
MAX_BUNDLE_BYTES = 2**32 - 1
"""A ZIP archive without 64-bit sizes holds no more."""


class Bundle:
    """A manifest with what it names.

    Args:
        manifest: the table of contents.
        artifacts: in the order of the manifest.
        golden: samples with what the host computed, or a function that reads them when they are first needed.
        replay: embeddings for fine-tuning, or a function likewise.
    """

    def __init__(
        self,
        manifest: Manifest,
        artifacts: tuple[Artifact, ...],
        golden: GoldenSamples | Callable[[], GoldenSamples] | None = None,
        replay: ReplaySamples | Callable[[], ReplaySamples] | None = None,
    ) -> None:
        self.manifest = manifest
        self.artifacts = artifacts
        self._golden = golden
        self._replay = replay

    @property
    def golden(self) -> GoldenSamples | None:
        """None in a bundle without golden samples. Raises: BundleError: they are damaged."""
        if callable(self._golden):
            self._golden = self._golden()
        return self._golden

    @property
    def replay(self) -> ReplaySamples | None:
        """None in a bundle without stored embeddings. Raises: BundleError: they are damaged."""
        if callable(self._replay):
            self._replay = self._replay()
        return self._replay

    def artifact(self, name: str) -> Artifact:
        """Raises: BundleError: no such artifact."""
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(a.name for a in self.artifacts)
        raise BundleError(f"no artifact {name!r} in the bundle; it holds {known}")

    def entry(self, name: str) -> ArtifactEntry:
        """Raises: BundleError: no such artifact."""
        for entry in self.manifest.artifacts:
            if entry.name == name:
                return entry
        known = ", ".join(e.name for e in self.manifest.artifacts)
        raise BundleError(f"no artifact {name!r} in the bundle; it holds {known}")

    def to_bytes(self) -> bytes:
        """The file's bytes; the same bundle gives the same bytes."""
        import io
        import zipfile

        from edge_cnn.core.npz import pack_npz, stored_member

        members = {MANIFEST: self.manifest.to_bytes()} | {a.name: a.data for a in self.artifacts}
        if self.golden is not None:
            members[GOLDEN] = pack_npz(self.golden.to_arrays())
        if self.replay is not None:
            members[REPLAY] = pack_npz(self.replay.to_arrays())
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, data in members.items():
                archive.writestr(stored_member(name), data)
        return buffer.getvalue()

    def write(self, path: Path) -> None:
        """Write atomically. Raises: InputError: the folder is missing or not writable, or the disk is full."""
        write_atomically(path, self.to_bytes())


def is_artifact_name(name: str) -> bool:
    """`model.tflite`, `model.onnx`, and `model-float32.tflite` where a bundle has several of one format."""
    stem, _, suffix = name.rpartition(".")
    first, *marks = stem.split("-")
    # By hand: compiling a regular expression would be the longest part of this module's import.
    fine = all(mark.isascii() and mark.isalnum() and mark == mark.lower() and len(mark) <= 32 for mark in marks)
    return first == "model" and suffix in ("tflite", "onnx") and len(marks) <= 4 and fine


def read_bundle(path: str | Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: missing, truncated, not a bundle, an unknown, linked, compressed or oversized member, a wrong hash.
    """
    try:
        status = os.stat(path)
        # Before it is opened, since a pipe would block and a device file never end; a folder has its own message.
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise BundleError(f"{path} is a pipe or a device; give a file that 'edge-cnn export' made")
        if status.st_size > MAX_BUNDLE_BYTES:
            raise BundleError(f"{path} has {status.st_size} bytes, a bundle at most {MAX_BUNDLE_BYTES}; do not use it")
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise BundleError(f"no bundle at {path}; make one with 'edge-cnn export'") from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    except MemoryError:
        raise BundleError(f"{path} does not fit into the memory of this machine; use a smaller bundle") from None
    return parse_bundle(data, os.path.basename(path))


def parse_bundle(data: bytes, name: str) -> Bundle:
    """The bundle in `data`; `name` is for messages. Raises: as `read_bundle`."""
    try:
        listed = list_members(data)
        _check_members(listed, name)
        directory = {member.name: member for member in listed}
        members = {m.name: read_member(data, m) for m in listed if m.name not in (GOLDEN, REPLAY)}
    except ValueError as error:
        raise BundleError(f"{name} is not a readable bundle: {error}; copy or export it again") from error
    manifest = Manifest.from_bytes(members[MANIFEST])
    artifacts = tuple(_checked_artifact(entry, members, name) for entry in manifest.artifacts)
    unnamed = {m for m in members if is_artifact_name(m)} - {a.name for a in artifacts}
    if unnamed:
        raise BundleError(f"{name}: member {min(unnamed)!r} is not in the manifest; export the bundle again")
    return Bundle(
        manifest,
        artifacts,
        (lambda: _read_golden(data, directory[GOLDEN], name, manifest)) if GOLDEN in directory else None,
        (lambda: _read_replay(data, directory[REPLAY], name, manifest)) if REPLAY in directory else None,
    )


# Prediction needs neither, so the modules that read them are imported when somebody asks.


def _read_golden(data: bytes, member: Member, name: str, manifest: Manifest) -> GoldenSamples:
    from edge_cnn.core.samples import GoldenSamples

    image_shape = manifest.preprocessing.image_shape
    return GoldenSamples.from_arrays(_arrays(data, member, name), len(manifest.labels), image_shape)


def _read_replay(data: bytes, member: Member, name: str, manifest: Manifest) -> ReplaySamples:
    from edge_cnn.core.samples import ReplaySamples

    return ReplaySamples.from_arrays(_arrays(data, member, name), len(manifest.labels))


def _arrays(data: bytes, member: Member, name: str) -> dict[str, NDArray[Any]]:
    from edge_cnn.core.npz import unpack_npz

    try:
        return unpack_npz(read_member(data, member), name=f"{name}:{member.name}", max_bytes=MAX_MEMBER_BYTES)
    except (DataError, ValueError) as error:
        raise BundleError(f"{name}: {error}; copy or export it again") from error


def _check_members(members: list[Member], name: str) -> None:
    if len(members) > MAX_MEMBERS:
        raise BundleError(f"{name} has {len(members)} members, a bundle at most {MAX_MEMBERS}; do not use it")
    seen: set[str] = set()
    for member in members:
        if member.name not in (MANIFEST, GOLDEN, REPLAY) and not is_artifact_name(member.name):
            raise BundleError(f"{name} has an unexpected member {member.name!r}; do not use it, export it again")
        if member.name in seen:
            raise BundleError(f"{name} has two members {member.name!r}; do not use it, export it again")
        seen.add(member.name)
        if stat.S_IFMT(member.mode) not in (0, stat.S_IFREG):
            raise BundleError(f"{name}: member {member.name!r} is a link or special file; do not use it")
        if member.method != STORED:
            raise BundleError(f"{name}: member {member.name!r} is compressed, a bundle is stored; export it again")
        limit = MAX_MANIFEST_BYTES if member.name == MANIFEST else MAX_MEMBER_BYTES
        if member.size > limit:
            raise BundleError(f"{name}: member {member.name!r} has {member.size} bytes, the limit is {limit}")
    if MANIFEST not in seen:
        raise BundleError(f"{name} has no {MANIFEST}: it is not a bundle; make one with 'edge-cnn export'")


def _checked_artifact(entry: ArtifactEntry, members: dict[str, bytes], name: str) -> Artifact:
    if not is_artifact_name(entry.name) or entry.name not in members:
        raise BundleError(f"{name}: the manifest names {entry.name!r}, which is not there; copy or export it again")
    artifact = Artifact(entry.name, entry.format, members[entry.name])
    if artifact.sha256 != entry.sha256:
        raise BundleError(
            f"{name}: {entry.name} has SHA-256 {artifact.sha256[:12]}..., the manifest says {entry.sha256[:12]}...; "
            "the file is damaged, copy or export it again"
        )
    return artifact
