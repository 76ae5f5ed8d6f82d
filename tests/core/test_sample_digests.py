import itertools

import numpy as np
import pytest

from edge_cnn.core.sample_digests import content_hashes, groups_of_equal, overlap


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_groups_are_those_of_comparing_every_pair(dtype):
    rng = np.random.default_rng(0)
    # Two values a sample in 300: most differ in places only that a short look does not see.
    first, second = (rng.integers(0, 2, (40, 300)).astype(dtype) for _ in range(2))
    first[:, 1:], second[:, 1:] = 0, 0
    first[::3, 299] = 1
    groups = groups_of_equal(first, second)
    place = {
        key: index for index, group in enumerate(groups) for part in (0, 1) for key in ((part, r) for r in group[part])
    }
    samples = {(0, row): first[row] for row in range(40)} | {(1, row): second[row] for row in range(40)}
    for one, other in itertools.combinations(samples, 2):
        together = one in place and place.get(one) == place.get(other)
        assert together == np.array_equal(samples[one], samples[other])


def test_a_sample_that_is_there_once_is_in_no_group():
    assert groups_of_equal(np.arange(12).reshape(4, 3)) == []


def test_samples_of_other_shapes_are_never_equal():
    assert groups_of_equal(np.zeros((1, 2, 8)), np.zeros((1, 4, 4))) == []


def test_overlap_counts_every_copy_on_the_first_side():
    inputs = np.array([[1, 2], [3, 4], [1, 2], [5, 6]])
    assert overlap(inputs, np.array([[1, 2], [5, 6], [5, 6], [7, 7]])) == 3
    assert overlap(inputs, np.array([[7, 7]])) == 0


def test_hashes_are_equal_for_equal_samples_only():
    a, b, c = content_hashes(np.array([[1, 2], [1, 2], [2, 1]]))
    assert a == b != c
