from __future__ import annotations

import numpy as np
import pytest

from converters.sources.class_order import in_model_order
from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages


def data(*names: str) -> LabelledImages:
    return LabelledImages(np.zeros((len(names), 1, 1, 1), np.uint8), np.arange(len(names)), names)


def test_the_same_names_in_another_order_are_renumbered() -> None:
    ordered = in_model_order(data("dog", "ant", "cat"), ("ant", "cat", "dog"), 3)
    assert [ordered.class_names[i] for i in ordered.labels] == ["dog", "ant", "cat"]


def test_numbers_for_names_stand_for_the_outputs() -> None:
    ordered = in_model_order(data("0", "1"), ("ant", "cat"), 2)
    assert ordered.class_names == ("ant", "cat")
    assert ordered.labels.tolist() == [0, 1]


def test_a_model_without_names_takes_those_of_the_data() -> None:
    assert in_model_order(data("ant", "cat"), None, 2).class_names == ("ant", "cat")


def test_another_number_of_classes_is_refused() -> None:
    with pytest.raises(DataError, match=r"2 classes \(ant, cat\), the model has 10"):
        in_model_order(data("ant", "cat"), None, 10)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(DataError, match="class 'cow', which the model does not know; it knows ant, cat"):
        in_model_order(data("ant", "cow"), ("ant", "cat"), 2)
