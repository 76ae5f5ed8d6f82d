import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.decision_surface.plane import plane_of


def samples(points, shape=(1, 1, 2), dtype=np.float32):
    points = np.asarray(points, dtype)
    return LabelledImages(points.reshape(-1, *shape), np.zeros(len(points), np.int64), ("a", "b"))


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 2, 1), (2, 1, 1)])
def test_the_plane_holds_the_points_of_all_parts_with_a_margin(shape):
    plane = plane_of(samples([[0, -1], [4, 1]], shape), samples([[10, 0]], shape))
    assert plane.low == pytest.approx((-1, -1.2))
    assert plane.high == pytest.approx((11, 1.2))
    assert plane.input_shape == shape


def test_samples_of_other_than_two_numbers_and_pixels_have_no_plane():
    assert plane_of(LabelledImages(np.zeros((4, 28, 28, 1), np.float32), np.zeros(4, np.int64), ("a",))) is None
    assert plane_of(samples([[0, 255]], (1, 2, 1), np.uint8)) is None


def test_a_number_that_is_the_same_for_all_still_has_a_width():
    plane = plane_of(samples([[3, 1], [3, 2]]))
    assert plane.low[0] < 3 < plane.high[0]
    assert np.isfinite(plane.place(np.array([[3, 1.5]]))).all()


def test_the_grid_begins_at_the_upper_left_and_its_points_lie_in_the_middles_of_its_cells():
    plane = plane_of(samples([[0, 0], [10, 20]]))  # -1..11, -2..22
    grid = plane.grid(2)
    assert grid.shape == (4, 1, 1, 2)
    assert grid.reshape(4, 2).tolist() == [[2, 16], [8, 16], [2, 4], [8, 4]]
    assert plane.place(grid).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
