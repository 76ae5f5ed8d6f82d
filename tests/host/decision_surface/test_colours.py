import numpy as np
import pytest

from edge_cnn.host.decision_surface.colours import CLASS_COLOURS, activation_colours, class_colour, score_colours

WHITE = [255, 255, 255]


def rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_for_two_classes_the_share_of_colour_is_the_size_of_the_playgrounds_output():
    logits = np.random.default_rng(0).normal(0, 2, (50, 2))
    output = np.tanh((logits[:, 1] - logits[:, 0]) / 2)
    powers = np.exp(logits)
    colours = score_colours(powers / powers.sum(axis=1, keepdims=True))
    for value, colour in zip(output, colours, strict=True):
        full = rgb(class_colour(1 if value > 0 else 0))
        expected = [255 + abs(value) * (part - 255) for part in full]
        assert colour.tolist() == pytest.approx(expected, abs=0.51)


def test_a_sure_answer_has_the_full_colour_of_its_class_and_a_tie_is_white():
    scores = np.array([[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    colours = score_colours(scores).tolist()
    assert colours[:2] == [rgb(class_colour(0)), rgb(class_colour(2))]
    assert colours[2:] == [WHITE, WHITE]


def test_further_classes_begin_the_colours_anew():
    assert class_colour(len(CLASS_COLOURS) + 1) == class_colour(1)
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS)


def test_activations_are_orange_below_0_and_blue_above_it_and_end_at_the_largest():
    colours = activation_colours(np.array([-2.0, -4.0, 0.0, 2.0, 1.0]), 2.0).tolist()
    assert colours[0] == colours[1] == rgb("#d97706")
    assert colours[2] == WHITE
    assert colours[3] == rgb("#2563a8")
    assert colours[4] == pytest.approx([(255 + part) / 2 for part in rgb("#2563a8")], abs=0.51)
