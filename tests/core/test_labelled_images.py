import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, held_out, stratified_split


def samples(n=20):
    rng = np.random.default_rng(0)
    return LabelledImages(rng.integers(0, 255, (n, 2, 2, 1), np.uint8), np.arange(n) % 3, ("a", "b", "c"))


def test_a_split_is_disjoint_complete_and_keeps_the_classes():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    first, second = stratified_split(labels, 0.2, np.random.default_rng(1))
    assert sorted([*first, *second]) == list(range(100))
    assert np.bincount(labels[second]).tolist() == [10, 6, 4]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.25, 0.9])
def test_how_many_are_held_out_is_known_before(share):
    labels = np.repeat([0, 2, 3], [50, 1, 7])
    assert held_out(labels, share) == len(stratified_split(labels, share, np.random.default_rng(0))[1])


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    labels = np.arange(100) % 4
    one, two, other = (stratified_split(labels, 0.3, np.random.default_rng(s))[1].tolist() for s in (5, 5, 6))
    assert one == two != other


def test_a_class_with_one_sample_stays_in_the_first_part():
    first, second = stratified_split(np.array([0, 0, 0, 1]), 0.5, np.random.default_rng(0))
    assert 3 in first
    assert 3 not in second


def test_the_fingerprint_sees_every_pixel_label_and_name():
    base = samples()
    pixels = base.images.copy()
    pixels[3, 1, 1, 0] ^= 1
    labels = base.labels.copy()
    labels[0] = 1
    others = [
        LabelledImages(pixels, base.labels, base.class_names),
        LabelledImages(base.images, labels, base.class_names),
        LabelledImages(base.images, base.labels, ("a", "b", "d")),
    ]
    assert len({base.fingerprint(), *(o.fingerprint() for o in others)}) == 4
    assert base.fingerprint() == samples().fingerprint()


def test_a_missing_label_is_refused():
    with pytest.raises(DataError, match="19 labels"):
        LabelledImages(samples().images, np.zeros(19, np.int64), ("a", "b"))
