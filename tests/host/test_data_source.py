import numpy as np
import pytest
from PIL import Image

from edge_cnn.core.errors import DataError
from edge_cnn.host.data_source import load_data


def save_npz(path, labels, images=None, names=None):
    labels = np.asarray(labels)
    if images is None:
        images = np.arange(len(labels) * 16, dtype=np.uint8).reshape(-1, 4, 4)
    np.savez(path, x=images, y=labels, **({} if names is None else {"labels": np.array(names)}))
    return str(path)


def test_a_name_gives_the_data_set(digits_split):
    dataset = load_data("digits")
    assert dataset.train.fingerprint() == digits_split[0].fingerprint()
    assert "MNIST" in dataset.source


def test_a_named_data_set_comes_in_the_shape_that_a_model_takes():
    dataset = load_data("optdigits", (32, 30, 3))
    assert dataset.train.images.shape == (300, 32, 30, 3)
    assert dataset.test.images.shape == (1497, 32, 30, 3)
    assert np.array_equal(dataset.test.images[..., 0], dataset.test.images[..., 2])


def test_an_npz_is_split_80_to_20_with_every_class_in_its_share(tmp_path):
    labels = np.repeat([0, 1, 2], [10, 50, 40])
    dataset = load_data(save_npz(tmp_path / "d.npz", labels, images=np.arange(1600).reshape(100, 4, 4) / 1600.0))
    assert np.bincount(dataset.train.labels).tolist() == [8, 40, 32]
    assert np.bincount(dataset.test.labels).tolist() == [2, 10, 8]
    both = np.concatenate([dataset.train.images, dataset.test.images])
    assert np.array_equal(np.sort(both.ravel()), np.sort((np.arange(1600) / 1600.0).astype(np.float32)))


def test_the_split_is_the_same_every_time(tmp_path):
    path = save_npz(tmp_path / "d.npz", np.arange(60) % 3)
    assert load_data(path).test.fingerprint() == load_data(path).test.fingerprint()


def test_where_a_file_lies_is_not_its_source(tmp_path):
    dataset = load_data(save_npz(tmp_path / "d.npz", np.arange(60) % 3))
    assert dataset.source == "file d.npz"
    assert dataset.licence == "not stated"


def test_a_folder_by_class_is_read_resized_and_bad_images_are_told(tmp_path):
    for i in range(12):
        folder = tmp_path / "images" / ("cat" if i % 3 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 7, 3), 20 * i, np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "images" / "dog" / "bad.png").write_bytes(b"no")
    skipped = []
    dataset = load_data(
        str(tmp_path / "images"),
        (8, 8, 3),
        ("dog", "bird", "cat"),
        on_skip=lambda path, _why: skipped.append(path.name),
    )
    assert skipped == ["bad.png"]
    assert dataset.train.class_names == ("dog", "bird", "cat")
    assert dataset.train.images.shape[1:] == (8, 8, 3)
    assert len(dataset.train) + len(dataset.test) == 12
    assert set(dataset.test.labels.tolist()) == {0, 2}
    assert dataset.source == "folder images"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"labels": [0] * 6}, r"one class only \(0\)"),
        ({"labels": [0, 0, 0, 1, 2, 2]}, "single sample of class '1'"),
        ({"labels": [0, 0, 1, 1], "images": np.full((4, 8, 8, 1), np.nan, np.float32)}, "NaN"),
        ({"labels": [0, 0, -1, 1]}, "label -1 is out of range"),
        (
            {"labels": [0, 0, 1, 1, 7, 7], "names": ["a", "b"]},
            "the 2 classes are 0..1; correct or drop these samples, or name every class in labels",
        ),
        ({"labels": [0, 1], "images": np.zeros((3, 8, 8), np.uint8)}, "3 samples in x but 2 labels"),
    ],
)
def test_an_npz_that_cannot_be_used_is_one_clear_line(tmp_path, content, said):
    path = save_npz(tmp_path / "d.npz", content["labels"], content.get("images"), content.get("names"))
    with pytest.raises(DataError, match=said) as caught:
        load_data(path)
    assert "\n" not in str(caught.value)


def test_a_word_that_is_nothing_is_taken_for_a_name_and_a_path_for_a_path(tmp_path):
    with pytest.raises(
        DataError, match=r"unknown data set 'cifar'; known: digits, optdigits, spiral, cifar10, or a folder"
    ):
        load_data("cifar")
    with pytest.raises(DataError, match="no data at"):
        load_data(str(tmp_path / "cifar"))
    with pytest.raises(DataError, match="no data at"):
        load_data("none.npz")


def test_a_folder_with_one_class_is_refused(tmp_path):
    (tmp_path / "cat").mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "cat" / "1.png")
    with pytest.raises(DataError, match="one class only"):
        load_data(str(tmp_path))
