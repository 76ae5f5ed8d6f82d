import csv
import dataclasses
import functools
import gzip
import subprocess
import sys

import numpy as np
import pytest

from edge_cnn.core.errors import DataError, InputError, UnavailableError
from edge_cnn.host.architectures import ARCHITECTURES
from edge_cnn.host.datasets import DATASETS, cifar10, digits, is_present, load_dataset, optdigits, spiral


def rows_of(dataset):
    """Pixels and label of every sample of both parts, sorted."""
    parts = (dataset.train, dataset.test)
    return sorted((part.images[i].tobytes(), int(part.labels[i])) for part in parts for i in range(len(part)))


@functools.cache
def loaded(name):
    """A data set that is read once, for tests that only look at it; what is loaded cannot be changed."""
    return load_dataset(name)


PRESENT = [
    pytest.param(name, marks=[] if is_present(name) else pytest.mark.skip(f"{name} is not here: {entry.obtain}"))
    for name, entry in DATASETS.items()
]
CLASSES = {"spiral": ("orange", "blue"), "cifar10": cifar10.CLASS_NAMES}


@pytest.mark.parametrize("name", PRESENT)
def test_a_data_set_is_what_its_row_in_the_table_says(name):
    entry, dataset = DATASETS[name], loaded(name)
    assert (len(dataset.train), len(dataset.test)) == (entry.train_samples, entry.test_samples)
    assert (dataset.source, dataset.licence) == (entry.source, entry.licence)
    assert entry.recipe.architecture in ARCHITECTURES
    for part in (dataset.train, dataset.test):
        assert part.images.dtype == (np.float32 if name == "spiral" else np.uint8)
        assert part.images.shape[1:] == entry.image_shape
        assert part.class_names == CLASSES.get(name, tuple("0123456789"))
        counts = np.bincount(part.labels)
        assert len(counts) == entry.classes
        assert counts.max() - counts.min() <= 0.05 * len(part)


@pytest.mark.parametrize("name", PRESENT)
def test_no_sample_is_in_both_parts(name):
    dataset = loaded(name)
    train = {(image.tobytes(), label) for image, label in zip(dataset.train.images, dataset.train.labels, strict=True)}
    test = {(image.tobytes(), label) for image, label in zip(dataset.test.images, dataset.test.labels, strict=True)}
    assert not train & test
    # The two spirals begin in the same point, one of each class.
    shared = {image for image, _ in train} & {image for image, _ in test}
    assert shared <= ({np.zeros(2, np.float32).tobytes()} if name == "spiral" else set())


@pytest.mark.parametrize("name", PRESENT)
def test_the_split_is_always_the_same(name):
    first, second = loaded(name), load_dataset(name)
    assert first is not second
    assert first.train.fingerprint() == second.train.fingerprint()
    assert first.test.fingerprint() == second.test.fingerprint()


def test_digits_holds_what_a_csv_reader_finds_in_the_package():
    with gzip.open(digits.TABLE.locate(), "rt") as file:
        expected = sorted((bytes(map(int, row[:-1])), int(row[-1])) for row in csv.reader(file))
    assert rows_of(loaded("digits")) == expected


def test_optdigits_holds_scikit_learns_digits_in_the_frame_of_mnist():
    from sklearn.datasets import load_digits

    raw, labels = load_digits(return_X_y=True)
    dataset = loaded("optdigits")
    images = np.concatenate([dataset.train.images, dataset.test.images]).astype(float)
    assert not images[:, :4].any()
    assert not images[:, :, -4:].any()
    # Enlarging keeps the mean, but for the borders: so the ink of all samples of a class tells.
    found = np.concatenate([dataset.train.labels, dataset.test.labels])
    for digit in range(10):
        expected = raw[labels == digit].mean() * (255 / 16) * (20 / 28) ** 2
        assert images[found == digit].mean() == pytest.approx(expected, rel=0.05)
    assert np.array_equal(np.bincount(found), np.bincount(labels))


def test_the_points_of_a_spiral_lie_where_an_archimedean_spiral_has_them():
    dataset = loaded("spiral")
    points = np.concatenate([dataset.train.images, dataset.test.images]).reshape(-1, 2).astype(np.float64) * 6
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    for label, start in ((1, 1), (0, -1)):  # the blue arm leaves the centre upwards, the orange one downwards
        arm = points[labels == label][:, 0] * 1j + points[labels == label][:, 1]
        arm = arm[np.argsort(np.abs(arm))]
        np.testing.assert_allclose(np.abs(arm), np.arange(250) / 50, atol=1e-6)
        # Each point further along is turned by the same angle; 250 steps make 1.75 turns.
        turns = np.angle(arm[2:] / arm[1:-1]) / (2 * np.pi)
        np.testing.assert_allclose(turns, 1.75 / 250, atol=1e-6)
        assert np.angle(arm[1] * start) == pytest.approx(2 * np.pi * 1.75 / 250, abs=1e-6)


def test_noise_moves_the_points_of_a_spiral_uniformly_and_never_out_of_the_inputs_range():
    still, moved = (spiral.make_points(noise, 20_000, seed=1) for noise in (0.0, 0.5))
    assert np.array_equal(still.labels, moved.labels)
    shift = 6 * (moved.images - still.images)
    assert np.abs(shift).max() <= 0.5 + 1e-5
    assert shift.mean() == pytest.approx(0, abs=0.01)
    assert shift.std() == pytest.approx(0.5 / np.sqrt(3), rel=0.02)
    assert np.abs(moved.images).max() <= 1
    assert spiral.make_points(0.1, 40, seed=2).fingerprint() != spiral.make_points(0.1, 40, seed=3).fingerprint()


@pytest.mark.parametrize(
    ("words", "said"), [({"noise": 0.6}, r"in \[0, 0.5\], got 0.6"), ({"count": 1}, "got 1; give")]
)
def test_a_spiral_that_cannot_be_made_is_one_clear_line(words, said):
    with pytest.raises(InputError, match=said):
        spiral.make_points(**words)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Writes CIFAR-10's binary form from images uint8 (n, 32, 32, 3) and labels, where EDGE_CNN_DATA then points."""
    folder = tmp_path / "cifar-10-batches-bin"

    def write(**parts):
        folder.mkdir(exist_ok=True)
        for name, (images, labels) in parts.items():
            with open(folder / f"{name}.bin", "wb") as file:
                for image, label in zip(images, labels, strict=True):
                    file.write(bytes([label]) + image[:, :, 0].tobytes() + image[:, :, 1].tobytes())
                    file.write(image[:, :, 2].tobytes())
        monkeypatch.setenv("EDGE_CNN_DATA", str(tmp_path))
        return folder

    return write


def random_photographs(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), np.uint8), rng.permutation(count) % 10


def test_cifar10_is_read_from_its_published_binary_form(published):
    train, test = random_photographs(5020, 1), random_photographs(10_000, 2)
    published(data_batch_1=train, test_batch=test)
    dataset = load_dataset("cifar10")
    assert np.array_equal(dataset.train.images, train[0][:5000])
    assert np.array_equal(dataset.train.labels, train[1][:5000])
    assert np.array_equal(dataset.test.images, test[0])
    assert np.array_equal(dataset.test.labels, test[1])


def test_both_forms_of_cifar10_give_the_same_samples(published):
    if not is_present("cifar10"):
        pytest.skip(f"cifar10 is not here: {DATASETS['cifar10'].obtain}")
    here = load_dataset("cifar10")
    published(
        **{
            name: (part.images, part.labels)
            for name, part in {"data_batch_1": here.train, "test_batch": here.test}.items()
        }
    )
    again = load_dataset("cifar10")
    assert (again.train.fingerprint(), again.test.fingerprint()) == (here.train.fingerprint(), here.test.fingerprint())


def test_cifar10_starts_as_everyone_knows_it():
    if not is_present("cifar10"):
        pytest.skip(f"cifar10 is not here: {DATASETS['cifar10'].obtain}")
    dataset = loaded("cifar10")
    # The first image of each part, a frog and a cat, as printed by many a tutorial.
    assert dataset.train.images[0, 0, 0].tolist() == [59, 62, 63]
    assert dataset.test.images[0, 0, 0].tolist() == [158, 112, 49]
    assert [dataset.train.class_names[label] for label in dataset.train.labels[:5]] == [
        *("frog", "truck", "truck", "deer", "automobile")
    ]
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10


def test_without_cifar10_one_is_told_what_to_get_and_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.delenv("EDGE_CNN_DATA", raising=False)
    assert not is_present("cifar10")
    with pytest.raises(UnavailableError, match=r"EDGE_CNN_DATA is not set; unpack https://\S+ into a folder and set"):
        load_dataset("cifar10")
    monkeypatch.setenv("EDGE_CNN_DATA", str(tmp_path))
    with pytest.raises(UnavailableError, match=f"{tmp_path}, which has no cifar-10-batches-bin/data_batch_1.bin"):
        load_dataset("cifar10")


def test_a_damaged_cifar10_is_refused(published):
    images, labels = random_photographs(5000, 3)
    folder = published(data_batch_1=(images[:4999], labels[:4999]), test_batch=(images[:1], labels[:1]))
    with pytest.raises(DataError, match=r"data_batch_1.bin holds fewer than 5000 images; unpack"):
        load_dataset("cifar10")
    published(data_batch_1=(images, labels * 11), test_batch=(images[:1], labels[:1]))
    with pytest.raises(DataError, match="its labels are not the classes 0 to 9"):
        load_dataset("cifar10")
    mosaics = folder.with_name("cifar10")
    mosaics.mkdir()
    for file in folder.iterdir():
        file.unlink()
    for name in ("train_first5000.webp", "test_10000.webp"):
        (mosaics / name).write_bytes(b"RIFF, but nothing more")
    with pytest.raises(DataError, match=r"cannot read .*train_first5000.webp"):
        load_dataset("cifar10")


def test_reading_imports_none_of_the_packages_that_carry_the_data():
    code = (
        "import sys; from edge_cnn.host.datasets import *; [load_dataset(n) for n in DATASETS if is_present(n)]; "
        "print([m for m in ('mlxtend', 'sklearn', 'scipy', 'pandas', 'tensorflow') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
    assert run.stderr == ""


def test_an_unknown_name_is_answered_with_the_known_ones():
    for function in (load_dataset, is_present):
        with pytest.raises(DataError, match=r"unknown data set 'cifar'; known: digits, optdigits, spiral, cifar10"):
            function("cifar")


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """Puts a package `carrier` with the given bytes as `t.csv.gz` on the path, and returns its table."""

    def make(content):
        folder = tmp_path / "carrier"
        folder.mkdir()
        (folder / "__init__.py").write_text("raise AssertionError('must not be imported')")
        if content is not None:
            (folder / "t.csv.gz").write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)
        return dataclasses.replace(optdigits.TABLE, package="carrier", path="t.csv.gz", shape=(2, 3))

    return make


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"1,2,3\n4,5,6\n", mtime=0), "is not the table that this version"),
        (gzip.compress(b"1,2,3\n4,5,999\n", mtime=0), "is not the table that this version"),
        (gzip.compress(b"1,2,3\n4,5\n", mtime=0), "cannot read"),
        (gzip.compress(b"1,2,3\n" * 50, mtime=0)[:-9], "cannot read"),
        (b"not compressed", "cannot read"),
    ],
)
def test_a_damaged_or_foreign_table_is_refused(packaged, content, said):
    with pytest.raises(DataError, match=said):
        packaged(content).read()


def test_a_package_that_is_not_installed_is_named(packaged):
    table = packaged(None)
    assert table.locate() is None
    for missing in (table, dataclasses.replace(table, package="no_such_package")):
        with pytest.raises(UnavailableError, match=r"pip install 'edge-cnn\[host\]'"):
            missing.read()
