"""Names of filters, against gratings that are drawn and shown, and against filters whose name everybody knows."""

import numpy as np
import pytest

from edge_cnn.host.insight.gratings import (
    ANGLES,
    FREQUENCIES,
    filter_kind,
    filter_kinds,
    grating_responses,
    selectivity,
    stripes_at,
)

SOBEL = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], float)
NAMED = {
    "horizontal": [SOBEL, np.array([[-1, -1, -1], [2, 2, 2], [-1, -1, -1]]), np.sign(SOBEL)],
    "vertical": [SOBEL.T, np.array([[-1, 2, -1]] * 3), -SOBEL.T],
    "diagonal": [
        np.array([[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]),
        np.array([[2, 1, 0], [1, 0, -1], [0, -1, -2]]),
        3 * np.eye(3) - 1,
    ],
    "no direction": [
        np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]),
        np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    ],
    "brightness": [np.ones((3, 3)), -np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]), np.ones((1, 1))],
}


@pytest.mark.parametrize(
    ("name", "kernel"), [(name, np.asarray(kernel, float)) for name, kernels in NAMED.items() for kernel in kernels]
)
def test_well_known_filters_have_their_names_over_one_channel_and_over_gray_in_three(name, kernel):
    assert filter_kind(kernel[..., None]) == name
    assert filter_kind(np.repeat(kernel[..., None], 3, axis=2)) == name


def test_a_response_is_the_largest_answer_to_drawn_gratings_of_all_phases():
    kernel = np.random.default_rng(0).normal(size=(5, 4))
    responses = grating_responses(kernel)
    rows, columns = np.mgrid[:5, :4]
    for f, frequency in enumerate(FREQUENCIES):
        for a, angle in enumerate(ANGLES):
            along = columns * np.cos(np.deg2rad(angle)) + rows * np.sin(np.deg2rad(angle))
            phases = np.linspace(0, 2 * np.pi, 721)[:, None, None]
            drawn = np.sin(2 * np.pi * frequency * along + phases)
            assert responses[f, a] == pytest.approx(np.abs((drawn * kernel).sum(axis=(1, 2))).max(), rel=1e-4)


def test_stripes_lie_across_the_direction_in_which_the_light_changes():
    drawn = {
        angle: np.sin(np.mgrid[:7, :7][1] * np.cos(a) + np.mgrid[:7, :7][0] * np.sin(a))
        for angle, a in ((0, 0), (90, np.pi / 2), (45, np.pi / 4), (135, 3 * np.pi / 4))
    }
    assert np.ptp(drawn[0], axis=0).max() < 1e-9  # equal down each column: the stripes stand
    assert [stripes_at(angle) for angle in (0, 90, 45, 135)] == ["vertical", "horizontal", "diagonal", "diagonal"]
    for angle, wave in drawn.items():
        windowed = (wave - wave.mean()) * np.outer(np.hanning(9)[1:-1], np.hanning(9)[1:-1])
        assert filter_kind((windowed - windowed.mean())[..., None]) == stripes_at(angle)


def test_selectivity_is_a_third_for_the_first_derivative_and_nothing_for_a_spot():
    """|cos|, integrated: (2/3) / 2, for a Gaussian's derivative, which is nearly that; a centre and a surround: 0."""
    y, x = np.mgrid[-5:6, -5:6]
    bell = np.exp(-(x**2 + y**2) / 6)
    assert selectivity(grating_responses(x * bell)) == pytest.approx(1 / 3, abs=0.02)
    assert selectivity(grating_responses((x**2 + y**2 - 6) * bell)) == pytest.approx(0, abs=0.01)


def test_red_against_green_is_colour_however_it_is_shaped():
    edge = SOBEL[..., None]
    assert filter_kind(edge * np.array([1, -1, 0])) == "colour"
    assert filter_kind(edge * np.array([1, 1, 0.5])) == "horizontal"
    assert filter_kind(edge * np.array([1, -1])) != "colour"  # two channels are no colours


def test_a_filter_much_shorter_than_the_others_is_faint():
    kernels = np.stack([SOBEL, 0.01 * SOBEL.T, SOBEL.T, 0 * SOBEL])[..., None]
    assert filter_kinds(kernels) == ["horizontal", "faint", "vertical", "faint"]
    assert filter_kinds(0 * kernels) == ["faint"] * 4
