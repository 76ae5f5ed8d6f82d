import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.decision_surface.pictures import (
    MAX_NEURONS,
    MAX_RIGHT,
    answered_points,
    film_strip,
    legend,
    neuron_pictures,
    surface_picture,
)
from edge_cnn.host.decision_surface.plane import plane_of

NAMES = ("orange", "blue & <green>")


def part(points, labels):
    return LabelledImages(np.asarray(points, np.float32).reshape(-1, 1, 1, 2), np.asarray(labels), NAMES)


def image_of(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


@pytest.fixture(scope="module")
def parts():
    """Four training points, all right; two test points, the second one wrong."""
    train = part([[-1, -1], [1, 1], [-1, 1], [1, -1]], [0, 1, 0, 1])
    test = part([[0, 0], [0.5, 0.5]], [0, 0])
    scores = np.eye(2)[[0, 1, 0, 1]], np.eye(2)[[0, 1]]
    return answered_points(plane_of(train, test), (train, scores[0]), (test, scores[1]))


def test_the_picture_is_xml_and_holds_the_surface_as_it_is(parts):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    root = ElementTree.fromstring(surface_picture(pixels, parts, NAMES))
    address = next(element.get("href") for element in root.iter() if element.tag.endswith("image"))
    assert np.array_equal(image_of(address), pixels)


def test_every_point_stands_in_its_place_and_the_wrong_one_in_a_ring_with_its_words(parts):
    picture = surface_picture(np.zeros((2, 2, 3), np.uint8), parts, NAMES)
    root = ElementTree.fromstring(picture)
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    rings = [circle for circle in circles if len(circle)]
    assert len(circles) == 7
    assert [ring[0].text for ring in rings] == ["test point: orange, taken for blue & <green>"]
    # The plane is -1.2..1.2 both ways, and the picture 200 wide with its y axis downwards.
    assert float(rings[0].get("cx")) == pytest.approx(200 * (0.5 + 1.2) / 2.4, abs=0.06)
    assert float(rings[0].get("cy")) == pytest.approx(200 * (1.2 - 0.5) / 2.4, abs=0.06)


def test_a_large_part_is_thinned_out_but_keeps_its_mistakes():
    count = 5000
    many = part(np.random.default_rng(0).normal(0, 1, (count, 2)), np.zeros(count, np.int64))
    scores = np.eye(2)[(np.arange(count) == 17).astype(int)]
    _, test = answered_points(plane_of(many), (many, scores), (many, scores))
    picture = surface_picture(np.zeros((2, 2, 3), np.uint8), [test], NAMES)
    assert picture.count("<circle") == MAX_RIGHT + 2
    assert picture.count("<title>") == 1


def test_the_legend_escapes_names_and_tells_the_parts_apart(parts):
    text = legend(parts, NAMES)
    assert "blue &amp; &lt;green&gt;" in text
    assert "<green>" not in text
    assert "training point" in text
    assert "test point" in text


def test_each_neuron_has_a_picture_of_its_own_in_the_scale_of_its_layer():
    values = np.zeros((3, 3, 2), np.float32)
    values[..., 0], values[0, 0, 1] = 1.0, -4.0
    text = neuron_pictures({"hidden1": values})
    first, second = (image_of(address) for address in re.findall(r'src="([^"]+)"', text))
    assert first.tolist() == np.tile(first[0, 0], (3, 3, 1)).tolist()
    assert second[0, 0].tolist() == [0xD9, 0x77, 0x06]
    assert second[1, 1].tolist() == [255, 255, 255]
    assert "hidden1: 2 neurons" in text


def test_a_wide_layer_says_how_much_of_it_is_shown():
    text = neuron_pictures({"wide": np.ones((2, 2, MAX_NEURONS + 5), np.float32)})
    assert text.count("<img") == MAX_NEURONS
    assert f"the first {MAX_NEURONS} of {MAX_NEURONS + 5} neurons" in text


def test_a_film_has_a_caption_a_frame():
    frames = [("epoch 0 <x>", np.zeros((2, 2, 3), np.uint8)), ("epoch 5", np.full((2, 2, 3), 255, np.uint8))]
    text = film_strip(frames)
    assert [image_of(address).max() for address in re.findall(r'src="([^"]+)"', text)] == [0, 255]
    assert "epoch 0 &lt;x&gt;" in text
    assert "epoch 5" in text
