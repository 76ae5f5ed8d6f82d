"""`NAME.edgecnn`: one stored ZIP with manifest, artifacts, golden samples and replay embeddings.

The reader trusts nothing: member names, links, compression and sizes are checked before any content is read, hashes
before any content is used.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import BundleError, DataError
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.npz import pack_npz, stored_member, unpack_npz
from edge_cnn.core.samples import GoldenSamples, ReplaySamples

SUFFIX = ".edgecnn"
MANIFEST, GOLDEN, REPLAY = "manifest.json", "golden.npz", "replay.npz"
ARTIFACT_NAME = re.compile(r"model(-[a-z0-9]{1,32}){0,4}\.(tflite|onnx)")
"""`model.tflite`, `model.onnx`, and `model-float32.tflite` where a bundle has several of one format."""

MAX_MEMBERS = 64
MAX_MANIFEST_BYTES = 16 * 2**20
MAX_MEMBER_BYTES = 2**30


@dataclass(frozen=True)
class Bundle:
    """A manifest with what it names.

    Attributes:
        manifest: the table of contents.
        artifacts: in the order of the manifest.
        golden: None in a bundle without golden samples.
        replay: None in a bundle without stored embeddings.
    """

    manifest: Manifest
    artifacts: tuple[Artifact, ...]
    golden: GoldenSamples | None = None
    replay: ReplaySamples | None = None

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


def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: missing, truncated, not a bundle, an unknown, linked, compressed or oversized member, a wrong hash.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(f"no bundle at {path}; make one with 'edge-cnn export'") from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror}") from error
    return parse_bundle(data, path.name)


def parse_bundle(data: bytes, name: str) -> Bundle:
    """The bundle in `data`; `name` is for messages. Raises: as `read_bundle`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive, name)
            members = {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(f"{name} is not a readable bundle: {error}; copy or export it again") from error
    manifest = Manifest.from_bytes(members[MANIFEST])
    artifacts = tuple(_checked_artifact(entry, members, name) for entry in manifest.artifacts)
    unnamed = {m for m in members if ARTIFACT_NAME.fullmatch(m)} - {a.name for a in artifacts}
    if unnamed:
        raise BundleError(f"{name}: member {min(unnamed)!r} is not in the manifest; export the bundle again")
    try:
        golden = replay = None
        if GOLDEN in members:
            arrays = unpack_npz(members[GOLDEN], name=f"{name}:{GOLDEN}", max_bytes=MAX_MEMBER_BYTES)
            golden = GoldenSamples.from_arrays(arrays)
        if REPLAY in members:
            arrays = unpack_npz(members[REPLAY], name=f"{name}:{REPLAY}", max_bytes=MAX_MEMBER_BYTES)
            replay = ReplaySamples.from_arrays(arrays)
    except DataError as error:
        raise BundleError(str(error)) from error
    return Bundle(manifest, artifacts, golden, replay)


def _check_members(archive: zipfile.ZipFile, name: str) -> None:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise BundleError(f"{name} has {len(infos)} members, a bundle at most {MAX_MEMBERS}; do not use it")
    seen: set[str] = set()
    for info in infos:
        member = info.filename
        if member not in (MANIFEST, GOLDEN, REPLAY) and not ARTIFACT_NAME.fullmatch(member):
            raise BundleError(f"{name} has an unexpected member {member!r}; do not use it, export it again")
        if member in seen:
            raise BundleError(f"{name} has two members {member!r}; do not use it, export it again")
        seen.add(member)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BundleError(f"{name}: member {member!r} is a link or special file; do not use it")
        if info.compress_type != zipfile.ZIP_STORED:
            raise BundleError(f"{name}: member {member!r} is compressed, a bundle is stored; export it again")
        limit = MAX_MANIFEST_BYTES if member == MANIFEST else MAX_MEMBER_BYTES
        if info.file_size > limit:
            raise BundleError(f"{name}: member {member!r} has {info.file_size} bytes, the limit is {limit}")
    if MANIFEST not in seen:
        raise BundleError(f"{name} has no {MANIFEST}: it is not a bundle; make one with 'edge-cnn export'")


def _checked_artifact(entry: ArtifactEntry, members: dict[str, bytes], name: str) -> Artifact:
    if not ARTIFACT_NAME.fullmatch(entry.name) or entry.name not in members:
        raise BundleError(f"{name}: the manifest names {entry.name!r}, which is not there; copy or export it again")
    artifact = Artifact(entry.name, entry.format, members[entry.name])
    if artifact.sha256 != entry.sha256:
        raise BundleError(
            f"{name}: {entry.name} has SHA-256 {artifact.sha256[:12]}..., the manifest says {entry.sha256[:12]}...; "
            "the file is damaged, copy or export it again"
        )
    return artifact
