"""`.keras` and `.h5` files as containers of one configuration."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_cnn.core.artifact import MAX_MODEL_BYTES
from edge_cnn.core.errors import ModelError

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MAX_CONFIG_BYTES = 2**26
_MAX_COMPRESSION = 1100
"""Deflate's limit is 1032; more is claimed, not stored."""


@dataclass(frozen=True)
class KerasContainer:
    """A Keras file with its configuration.

    Attributes:
        path: of the file.
        config: the model's, as JSON values.
        version: of the Keras that wrote it, "" where it says none.
    """

    path: Path
    config: dict[str, Any]
    version: str

    def with_config(self, config: dict[str, Any], folder: Path) -> Path:
        """A copy of the file in `folder` with another configuration."""
        copy = folder / self.path.name
        if self.path.suffix.lower() == ".keras":
            with zipfile.ZipFile(self.path) as old, zipfile.ZipFile(copy, "w") as new:
                for member in old.infolist():
                    new.writestr(
                        member, json.dumps(config) if member.filename == _CONFIG else old.read(member.filename)
                    )
            return copy
        import h5py

        shutil.copyfile(self.path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
        return copy


def open_container(path: Path) -> KerasContainer:
    """Read the configuration, and check that the weights claim no more than the file can hold.

    Raises:
        ModelError: damaged, without a model, or of a claimed size that it cannot have.
    """
    read = _read_zip if path.suffix.lower() == ".keras" else _read_hdf5
    try:
        config, version = read(path)
    except ModelError:
        raise
    # zipfile, h5py and json raise BadZipFile, OSError, KeyError, RuntimeError, RecursionError, ... on damage.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"Keras cannot read {path}: {reason[:300]}; copy it or save it again") from error
    if not isinstance(config, dict):
        raise ModelError(f"Keras cannot read {path}: its configuration is no model's; save it again")
    return KerasContainer(path, config, version)


def _read_zip(path: Path) -> tuple[Any, str]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            limit = _MAX_CONFIG_BYTES if member.filename.endswith(".json") else MAX_MODEL_BYTES
            if member.file_size > min(limit, _MAX_COMPRESSION * member.compress_size + 1024):
                raise ModelError(
                    f"{path} claims {member.file_size} bytes for {member.filename}, which it cannot hold; copy it again"
                )
        config = json.loads(archive.read(_CONFIG))
        about = json.loads(archive.read(_METADATA)) if _METADATA in archive.namelist() else {}
        _check_weights(path, io.BytesIO(archive.read(_WEIGHTS)))
    return config, str(about.get("keras_version", ""))


def _read_hdf5(path: Path) -> tuple[Any, str]:
    import h5py

    _check_weights(path, path)
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(
                f"{path} has weights but no model; save the whole model with model.save, not with save_weights"
            )
        # Before 2.1 Keras wrote its version only beside the weights.
        places = (file, file["model_weights"]) if "model_weights" in file else (file,)
        version = next((place.attrs["keras_version"] for place in places if "keras_version" in place.attrs), "")
    return json.loads(text), version.decode() if isinstance(version, bytes) else str(version)


def _check_weights(path: Path, file: Any) -> None:
    import h5py

    def check(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        stored = item.id.get_storage_size()
        # What another file would be read for is not this model's.
        if item.external or item.is_virtual:
            raise ModelError(f"{path} keeps the weights {name!r} in another file; save it again as one")
        if item.size and item.nbytes > _MAX_COMPRESSION * stored + 64:
            raise ModelError(
                f"{path} claims {item.nbytes} bytes for the weights {name!r} and holds {stored}; save it again"
            )

    with h5py.File(file, "r") as weights:
        weights.visititems(check)
