import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.device.head.class_change import NEW, change_classes


def test_names_tell_which_classes_stay_come_and_go():
    change = change_classes(("cat", "dog", "cow"), ("cow", "owl", "cat"))
    assert change.sources == (2, NEW, 0)
    assert change.added == (1,)
    np.testing.assert_array_equal(change.labels_after(np.array([0, 1, 2, 0])), [2, NEW, 0, 2])
    rows = change.rows(np.array([[1, 2], [3, 4], [5, 6]]), np.array([7]))
    np.testing.assert_array_equal(rows, [[5, 6], [7, 7], [1, 2]])


def test_the_same_names_in_the_same_order_are_no_change():
    assert change_classes(("a", "b"), ["a", "b"]).is_none
    assert not change_classes(("a", "b"), ["b", "a"]).is_none
    assert not change_classes(("a", "b", "c"), ["a", "b"]).is_none


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (("a", "a"), "'a' is named twice"),
        (("a",), "two classes or more, got 1"),
        (("a", " "), "empty or has a line break"),
        (("a", "b\nc"), "empty or has a line break"),
        (("x", "y"), "none of the model's classes a, b is among the new ones"),
    ],
)
def test_class_names_that_make_no_classifier_are_refused(new, message):
    with pytest.raises(InputError, match=message):
        change_classes(("a", "b"), new)
