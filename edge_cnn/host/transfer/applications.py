"""The applications of Keras that suit small devices, without their heads, and where their weights come from.

Preprocessing is each one's own: of the networks that were trained on -1..1, it goes into our preprocessing; the others
take 0..255 and scale in their first layers. From the documentation of `keras.applications`.
"""

from __future__ import annotations

import hashlib
import os
import socket
import warnings
import zipfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.errors import InputError, ModelError, UnavailableError
from edge_cnn.core.preprocessing import input_range
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.transfer.pretrained import Pretrained

if TYPE_CHECKING:
    from collections.abc import Generator

PREFIX = "keras:"

_BASE = "https://storage.googleapis.com/tensorflow/keras-applications"
_SECONDS_WITHOUT_ANSWER = 20.0
_HDF5_MARK = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Application:
    """A row of the table.

    Attributes:
        name: what the user types after `keras:`.
        summary: one line.
        side: height and width of the images that it takes where none is given, in pixels.
        low, high: what pixels 0 and 255 become.
        make: the module `keras.applications`, what all of them take -> network without a head.
        address: side -> where Keras publishes the weights of ImageNet.
        file: side -> what Keras calls that file in its cache.
    """

    name: str
    summary: str
    side: int
    low: float
    high: float
    make: Callable[..., Any]
    address: Callable[[int], str]
    file: Callable[[int], str]


def _mobilenet(name: str, alpha: float, text: str, summary: str) -> Application:
    def file(side: int) -> str:
        return f"mobilenet_{text}_{side if side in (128, 160, 192) else 224}_tf_no_top.h5"

    return Application(
        name,
        summary,
        128,
        -1.0,
        1.0,
        lambda applications, **named: applications.MobileNet(alpha=alpha, **named),
        lambda side: f"{_BASE}/mobilenet/{file(side)}",
        file,
    )


def _mobilenet_v2(name: str, alpha: float, summary: str) -> Application:
    def file(side: int) -> str:
        known = side if side in (96, 128, 160, 192) else 224
        return f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_{known}_no_top.h5"

    return Application(
        name,
        summary,
        96,
        -1.0,
        1.0,
        lambda applications, **named: applications.MobileNetV2(alpha=alpha, **named),
        lambda side: f"{_BASE}/mobilenet_v2/{file(side)}",
        file,
    )


def _one_file(
    name: str, summary: str, side: int, ends: tuple[float, float], path: str, file: str, make: Callable[..., Any]
) -> Application:
    return Application(name, summary, side, *ends, make, lambda _side: f"{_BASE}/{path}", lambda _side: file)


APPLICATIONS: dict[str, Application] = {
    application.name: application
    for application in (
        _mobilenet("MobileNet-0.25", 0.25, "2_5", "MobileNet v1 (Howard et al. 2017), a quarter of the channels"),
        _mobilenet("MobileNet", 1.0, "1_0", "MobileNet v1 (Howard et al. 2017)"),
        _mobilenet_v2("MobileNetV2-0.35", 0.35, "MobileNet v2 (Sandler et al. 2018), a third of the channels"),
        _mobilenet_v2("MobileNetV2", 1.0, "MobileNet v2 (Sandler et al. 2018)"),
        _one_file(
            "MobileNetV3Small",
            "MobileNet v3 (Howard et al. 2019), the small one; scales within",
            224,
            (0.0, 255.0),
            "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
            lambda applications, **named: applications.MobileNetV3Small(**named),
        ),
        _one_file(
            "EfficientNetV2B0",
            "EfficientNet v2 (Tan and Le 2021), the smallest; scales within",
            224,
            (0.0, 255.0),
            "efficientnet_v2/efficientnetv2-b0_notop.h5",
            "efficientnetv2-b0_notop.h5",
            lambda applications, **named: applications.EfficientNetV2B0(**named),
        ),
        _one_file(
            "NASNetMobile",
            "NASNet-A (Zoph et al. 2018), the mobile one",
            224,
            (-1.0, 1.0),
            "nasnet/NASNet-mobile-no-top.h5",
            "nasnet_mobile_no_top.h5",
            lambda applications, **named: applications.NASNetMobile(**named),
        ),
    )
}

MIN_SIDE, MAX_SIDE = 32, 1024


def find_application(name: str) -> Application:
    """Raises: InputError: unknown name."""
    if name not in APPLICATIONS:
        raise InputError(f"unknown Keras application {name!r}; known: {', '.join(APPLICATIONS)}")
    return APPLICATIONS[name]


def load_application(name: str, side: int | None = None, weights: Path | None = None) -> Pretrained:
    """An application for colour images, its features averaged over all places.

    Args:
        name: a row of `APPLICATIONS`.
        side: height and width of the images in pixels; None takes the row's.
        weights: a file of them, as `model.save_weights` leaves it; None takes ImageNet's from Keras' cache, downloaded
            first where need be.

    Raises:
        InputError: unknown name, or a side that is too small or too large.
        ModelError: a file that does not hold weights of this network.
        UnavailableError: the weights of ImageNet are neither here nor to be had.
    """
    application = find_application(name)
    side = application.side if side is None else side
    if not MIN_SIDE <= side <= MAX_SIDE:
        raise InputError(f"images of {side}x{side} pixels for {PREFIX}{name}: give {MIN_SIDE} to {MAX_SIDE}")
    if weights is not None and not weights.is_file():
        raise ModelError(f"no weights at {weights}; give a file that save_weights left")
    _, keras = import_tensorflow()
    shape = (side, side, 3)
    model = application.make(keras.applications, input_shape=shape, include_top=False, pooling="avg", weights=None)
    path = _imagenet(keras, application, side) if weights is None else weights
    _load(model, path, name)
    return Pretrained(
        model, PREFIX + name, file_hash(path), input_range(application.low, application.high, shape), None
    )


def _load(model: Any, path: Path, name: str) -> None:
    # What the file does not hold stays a NaN; Keras itself warns at most.
    model.set_weights([np.full_like(weight, np.nan) for weight in model.get_weights()])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts without weights, which every file of Keras 3 lacks
            model.load_weights(path)
    # Keras raises whatever h5py, zipfile or its own reader raise on a file of another kind or network.
    except Exception as error:
        if isinstance(error, ValueError) and _is_of_keras(path):
            raise ModelError(
                f"{path} holds weights of other shapes than those of {PREFIX}{name} without its head, or of another "
                "network; give those of the same network, saved with save_weights"
            ) from error
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise _misfit(path, name, reason[:200]) from error
    missing = sum(not np.isfinite(weight).all() for weight in model.get_weights())
    if missing:
        raise _misfit(path, name, f"{missing} of {len(model.weights)} are not in it")


def _is_of_keras(path: Path) -> bool:
    """Whether a file is of a kind that Keras reads weights from, by name and content."""
    if path.suffix == ".keras":
        return zipfile.is_zipfile(path)
    return path.suffix in (".h5", ".hdf5") and path.read_bytes()[: len(_HDF5_MARK)] == _HDF5_MARK


def _misfit(path: Path, name: str, reason: str) -> ModelError:
    return ModelError(
        f"{path} does not hold the weights of {PREFIX}{name} without its head: {reason}; "
        "give those of the same network, saved with save_weights"
    )


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _imagenet(keras: Any, application: Application, side: int) -> Path:
    address, file = application.address(side), application.file(side)
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    if (folder / file).is_file():
        return folder / file
    try:
        with _silent_and_impatient(keras):
            return Path(keras.utils.get_file(file, address, cache_subdir=folder.name, cache_dir=str(folder.parent)))
    # Keras wraps what the network raises in a bare Exception.
    except Exception as error:
        reason = next(iter(str(error).rpartition(" -- ")[2].splitlines()), type(error).__name__)
        raise UnavailableError(
            f"cannot download the weights of {PREFIX}{application.name} ({reason[:150]}); "
            f"put {address} into {folder} as {file}, or give --weights FILE"
        ) from error


@contextmanager
def _silent_and_impatient(keras: Any) -> Generator[None]:
    """Without Keras' progress on stdout, and without waiting for ever on a network that swallows packets."""
    patience, talkative = socket.getdefaulttimeout(), keras.config.is_interactive_logging_enabled()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_ANSWER)
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        socket.setdefaulttimeout(patience)
        if talkative:
            keras.config.enable_interactive_logging()
