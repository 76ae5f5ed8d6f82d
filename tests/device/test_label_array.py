from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.device.data_classes import new_classes
from edge_cnn.device.label_array import read_labels

INDICES = [0, 2, 1, 2, 0]
FILE = Path("d.npz")


@pytest.mark.parametrize(
    "y",
    [
        np.array(INDICES),
        np.array(INDICES, np.uint8),
        np.array(INDICES, np.float32),
        np.array(INDICES)[:, None],
        np.eye(3)[INDICES],
        np.eye(3, dtype=bool)[INDICES],
    ],
)
def test_every_usual_form_of_labels_means_the_same(y):
    labels, names = read_labels(FILE, y, None, None)
    assert labels.tolist() == INDICES
    assert labels.dtype == np.int64
    assert names == ("0", "1", "2")


def test_truth_values_are_two_classes():
    labels, names = read_labels(FILE, np.array([True, False, True]), None, None)
    assert labels.tolist() == [1, 0, 1]
    assert names == ("0", "1")


@pytest.mark.parametrize("y", [np.array(["né", "a b", "né"]), np.array(["né".encode(), b"a b", "né".encode()])])
def test_names_are_sorted_whether_text_or_bytes(y):
    assert read_labels(FILE, y, None, None)[1] == ("a b", "né")
    assert read_labels(FILE, y[:, None], None, None)[0].tolist() == [1, 0, 1]


def test_labels_from_1_give_the_classes_these_numbers_as_names():
    told = []
    labels, names = read_labels(FILE, np.array([1, 3, 2, 3]), None, None, told.append)
    assert labels.tolist() == [0, 2, 1, 2]
    assert names == ("1", "2", "3")
    assert "labels count from 1" in told[0]


@pytest.mark.parametrize("part", [[1, 2, 3], [2, 3], [1], [3, 3]])
def test_any_part_of_labels_from_1_means_the_same_to_the_model_that_learned_them(part):
    names = read_labels(FILE, np.array([1, 3, 2, 3]), None, None)[1]
    labels, again = read_labels(FILE, np.array(part), None, names)
    assert [again[label] for label in labels] == [str(number) for number in part]


def test_a_number_that_such_a_model_does_not_know_is_named_as_the_user_wrote_it():
    for stray in (0, 4, -1):
        with pytest.raises(DataError, match=f"label {stray} is out of range, the 3 classes are 1..3"):
            read_labels(FILE, np.array([1, stray]), None, ("1", "2", "3"))


def test_a_new_number_is_a_new_class_also_where_classes_count_from_1(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.array([1, 3, 4, 5]))
    assert new_classes(tmp_path / "d.npz", ("1", "2", "3")) == ("4", "5")
    np.savez(tmp_path / "d.npz", x=np.zeros((4, 2)), y=np.eye(4))
    assert new_classes(tmp_path / "d.npz", ("0", "1", "2")) == ("3",)
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 2)), y=np.array([b"a", b"z"]))
    assert new_classes(tmp_path / "d.npz", ("a", "b")) == ("z",)


def test_indices_into_names_count_from_0_even_where_1_to_n_would_fit():
    with pytest.raises(DataError, match="subtract 1, as the labels start at 1"):
        read_labels(FILE, np.array([1, 2, 3]), np.array(["a", "b", "c"]), None)


def test_one_hot_columns_are_places_whatever_the_classes_are_called():
    assert read_labels(FILE, np.eye(3), None, ("1", "2", "3"))[0].tolist() == [0, 1, 2]


def test_a_name_that_stands_for_two_classes_is_refused():
    with pytest.raises(DataError, match="class 'a' twice"):
        read_labels(FILE, np.array([0, 1]), np.array(["a", "a"]), None)
