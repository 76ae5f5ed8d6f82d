"""Bring the labels of data into the order of the model's outputs."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages


def in_model_order(data: LabelledImages, labels: tuple[str, ...] | None, classes: int) -> LabelledImages:
    """`data` with `class_names` as the model has them.

    Args:
        data: labelled samples.
        labels: the model's class names, None where it has none; then those of the data are taken.
        classes: the model's number of outputs.

    Raises:
        DataError: another number of classes, or names that the model does not have.
    """
    if len(data.class_names) != classes:
        raise DataError(
            f"the data has {len(data.class_names)} classes ({_some(data.class_names)}), the model has {classes}; "
            "give the data that the model was trained on"
        )
    if labels is None or labels == data.class_names:
        return data
    unknown = [name for name in data.class_names if name not in labels]
    # An .npz has numbers for names: they stand for the outputs themselves.
    if unknown and data.class_names != tuple(str(i) for i in range(classes)):
        raise DataError(
            f"the data has class {unknown[0]!r}, which the model does not know; it knows {_some(labels)}; "
            "give the data that the model was trained on"
        )
    order = range(classes) if unknown else [labels.index(name) for name in data.class_names]
    return LabelledImages(data.images, np.array(order, np.int64)[data.labels], labels, data.sources)


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
