"""A size of images as users write it: 96x96, or 96x96x1 with the channels."""

from __future__ import annotations

import re
from typing import Any

import click

LARGEST = 4096
"""Of a side, in pixels."""


class ImageSize(click.ParamType):
    """HEIGHTxWIDTH or HEIGHTxWIDTHxCHANNELS -> (height, width) or (height, width, channels)."""

    name = "HxW[xC]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Raises: click.BadParameter: something else, a side out of range, or not 1 or 3 channels."""
        match = re.fullmatch(r"(\d{1,6})x(\d{1,6})(?:x(\d))?", str(value).strip().lower(), re.ASCII)
        if match is None:
            self.fail(f"{value!r} is not HEIGHTxWIDTH, as 96x96, or with channels, as 96x96x1", param, ctx)
        height, width = int(match[1]), int(match[2])
        if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
            self.fail(f"{value!r}: sides must lie between 1 and {LARGEST}", param, ctx)
        if match[3] is None:
            return (height, width)
        if match[3] not in "13":
            self.fail(f"{value!r}: there are 1 (gray) or 3 (RGB) channels", param, ctx)
        return (height, width, int(match[3]))
