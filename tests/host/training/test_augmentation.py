import numpy as np
import pytest

from edge_cnn.host.training.augmentation import Augmentation, augment

FULL = Augmentation()
STILL = Augmentation(rotation=0, zoom=0, shift=0, shear=0, blur=0)


def changed(images, seed, strength=FULL):
    return augment(images.astype(np.float32), np.array(seed, np.int32), strength).numpy()


@pytest.fixture
def images():
    return np.random.default_rng(0).random((16, 12, 10, 3), np.float32)


def test_the_same_seed_changes_alike_and_another_does_not(images):
    assert np.array_equal(changed(images, (3, 4)), changed(images, (3, 4)))
    assert not np.array_equal(changed(images, (3, 4)), changed(images, (3, 5)))


def test_images_differ_in_what_they_draw():
    same = np.tile(np.random.default_rng(0).random((1, 12, 12, 1)), (8, 1, 1, 1))
    assert len({image.tobytes() for image in changed(same, (0, 0))}) == 8


def test_no_strength_changes_nothing(images):
    np.testing.assert_allclose(changed(images, (1, 2), STILL), images, atol=1e-5)


def test_an_even_image_stays_even():
    even = np.full((8, 9, 9, 1), 0.7, np.float32)
    np.testing.assert_allclose(changed(even, (1, 2)), even, rtol=1e-5)


def centres(images):
    """Centre of mass of each image, (n, 2) as (row, column)."""
    grid = np.stack(np.meshgrid(*map(np.arange, images.shape[1:3]), indexing="ij"), axis=-1)
    return np.tensordot(images[..., 0], grid, axes=([1, 2], [0, 1])) / images.sum(axis=(1, 2))


def test_shift_moves_by_at_most_its_share_of_the_side():
    dot = np.zeros((64, 21, 21, 1), np.float32)
    dot[:, 9:12, 9:12] = 1
    moved = np.abs(centres(changed(dot, (5, 6), Augmentation(0, 0, 0.1, 0, 0))) - 10)
    assert 1.5 < moved.max() <= 2.1 + 1e-3


def test_rotation_turns_about_the_middle_by_at_most_its_angle():
    bar = np.zeros((64, 41, 41, 1), np.float32)
    bar[:, 20, 30:35] = 1  # 12 pixels to the right of the middle
    arm = centres(changed(bar, (5, 6), Augmentation(20, 0, 0, 0, 0))) - 20
    angles = np.degrees(np.arctan2(arm[:, 0], arm[:, 1]))
    np.testing.assert_allclose(np.hypot(*arm.T), 12, atol=0.3)
    assert 15 < np.abs(angles).max() <= 20.5


def test_blur_keeps_the_ink_and_softens_half_of_the_images():
    dot = np.zeros((64, 11, 11, 1), np.float32)
    dot[:, 5, 5] = 1
    soft = changed(dot, (5, 6), Augmentation(0, 0, 0, 0, 1.0))
    np.testing.assert_allclose(soft.sum(axis=(1, 2, 3)), 1, rtol=1e-4)
    sharp = soft[:, 5, 5, 0] > 0.999
    assert 16 < sharp.sum() < 48
