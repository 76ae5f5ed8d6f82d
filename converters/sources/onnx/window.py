"""Where the window of a convolution or a pooling stands: sizes, strides, dilations and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.sources.onnx.node import Node

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """A window over rows and columns.

    Attributes:
        size: rows and columns of the window.
        strides, dilations: as in ONNX.
        before, after: rows above and columns left of the image, rows below and columns right of it.
        beyond: of `after`, what only ceil_mode adds.
    """

    size: Pair
    strides: Pair
    dilations: Pair
    before: Pair
    after: Pair
    beyond: Pair = (0, 0)

    @property
    def paddings(self) -> list[Pair]:
        """As tf.pad takes them for (n, height, width, channels)."""
        return [(0, 0), *zip(self.before, self.after, strict=True), (0, 0)]

    def is_same(self, image: Sequence[int]) -> bool:
        """Whether TensorFlow's padding SAME means the same for an image of this size."""
        pads = [_same(int(n), *part) for n, *part in zip(image, *self._parts(), strict=True)]
        return (self.before, self.after) == (_pair([b for b, _ in pads]), _pair([a for _, a in pads]))

    def _parts(self) -> tuple[Pair, Pair, Pair]:
        return self.size, self.strides, self.dilations


def read_window(node: Node, size: Sequence[int] | None = None) -> Window:
    """The window of a Conv or a pooling of images.

    Args:
        node: its first input is (n, channels, height, width).
        size: of the kernel; None where an attribute says it.

    Raises:
        ValueError: padding that ONNX does not know, or negative.
    """
    attributes, image = node.attributes, node.value.sizes[1:]
    window = _pair(attributes.get("kernel_shape", size))
    strides, dilations = _pair(attributes.get("strides", (1, 1))), _pair(attributes.get("dilations", (1, 1)))
    parts = list(zip(image, window, strides, dilations, strict=True))
    match mode := _text(attributes.get("auto_pad", "NOTSET")):
        case "NOTSET":
            pads = [int(pad) for pad in attributes.get("pads", (0, 0, 0, 0))]
            before, after = _pair(pads[:2]), _pair(pads[2:])
        case "VALID":
            before = after = (0, 0)
        case "SAME_UPPER" | "SAME_LOWER":
            both = [_same(*part) for part in parts]
            first, second = _pair([b for b, _ in both]), _pair([a for _, a in both])
            before, after = (first, second) if mode == "SAME_UPPER" else (second, first)
        case _:
            raise ValueError(f"auto_pad {mode!r}")
    if min(before + after) < 0 or min(window + strides + dilations) < 1:
        raise ValueError(f"a window of {window} with strides {strides}, dilations {dilations}, pads {before}, {after}")
    beyond = (0, 0)
    if attributes.get("ceil_mode"):
        beyond = _pair([_ceil(*part, b + a, b) for part, b, a in zip(parts, before, after, strict=True)])
    after = (after[0] + beyond[0], after[1] + beyond[1])
    return Window(window, strides, dilations, before, after, beyond)


def _same(image: int, size: int, stride: int, dilation: int) -> Pair:
    total = max((-(-image // stride) - 1) * stride + (size - 1) * dilation + 1 - image, 0)
    return total // 2, total - total // 2


def _ceil(image: int, size: int, stride: int, dilation: int, pads: int, before: int) -> int:
    """What the last window of ceil_mode needs behind the padding; one that begins behind the image is left out."""
    rest = image + pads - (size - 1) * dilation - 1
    steps = -(-rest // stride)
    if steps * stride >= image + before:
        steps -= 1
    return max(steps * stride - rest, 0)


def _pair(values: Sequence[int] | None) -> Pair:
    if values is None or len(values) != 2:
        raise ValueError(f"a window of {values}; images have 2 axes")
    return int(values[0]), int(values[1])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
