import contextlib

import numpy as np
import pytest
from PIL import Image

from edge_cnn.core.errors import DataError
from edge_cnn.device.image_files import read_image
from edge_cnn.device.image_folder import list_images
from edge_cnn.device.sample_source import read_data

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 12, 10, 3), np.uint8)


def make_folder(root, classes=("cat", "dog"), each=3):
    for i, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for j in range(each):
            Image.fromarray(PIXELS[(i * each + j) % 6]).save(root / name / f"{j}.png")
    return root


def test_a_folder_gives_images_labels_and_sources_in_order(tmp_path):
    data = read_data(make_folder(tmp_path), None)
    np.testing.assert_array_equal(data.images, PIXELS)
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.class_names == ("cat", "dog")
    assert data.sources[0].endswith("cat/0.png")


def test_labels_follow_the_models_order_of_classes(tmp_path):
    data = read_data(make_folder(tmp_path), None, ("mouse", "dog", "cat"))
    assert data.labels.tolist() == [2, 2, 2, 1, 1, 1]


def test_images_are_resized_and_converted_as_pillow_does(tmp_path):
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.png")
    expected = np.asarray(Image.fromarray(PIXELS[0]).convert("L").resize((5, 6), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", (6, 5, 1))[:, :, 0], expected)


def test_a_photo_is_turned_upright(tmp_path):
    image = Image.fromarray(PIXELS[0])
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png", None).shape == (10, 12, 3)


def test_sixteen_bit_gray_is_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", None)[0, 0, 0] == 0x80


@pytest.mark.parametrize("name", ["a.pgm", "a.png", "little.tiff", "big.tiff"])
def test_sixteen_bits_are_scaled_in_every_format(tmp_path, name):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    if name == "a.pgm":
        (tmp_path / name).write_bytes(b"P5 8 8 65535\n" + ramp.astype(">u2").tobytes())
    elif name == "big.tiff":
        Image.frombytes("I;16B", (8, 8), ramp.astype(">u2").tobytes()).save(tmp_path / name)
    else:
        Image.fromarray(ramp).save(tmp_path / name)
    np.testing.assert_array_equal(read_image(tmp_path / name, None)[:, :, 0], ramp >> 8)


def test_float_images_are_refused(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match="floats"):
        read_image(tmp_path / "a.tiff", None)


def test_damaged_images_are_data_errors_whatever_the_decoder_stumbles_over(tmp_path):
    image = Image.fromarray(PIXELS[0])
    exif = image.getexif()
    exif[0x0112] = 6
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".gif", ".tiff", ".webp"):
        path = tmp_path / f"a{suffix}"
        image.save(path, **({"exif": exif} if suffix in (".jpg", ".webp") else {}))
        whole = path.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for position in rng.integers(2, len(whole), 8):
                damaged[position] = int(rng.integers(256))
            path.write_bytes(bytes(damaged))
            with contextlib.suppress(DataError):
                read_image(path, (6, 5, 3))


def test_an_unreadable_image_among_good_ones_is_named_and_skipped(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "cat" / "bad.png").write_bytes(b"not an image")
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    skipped = []
    data = read_data(folder, (6, 5, 3), on_skip=lambda path, reason: skipped.append((path.name, reason)))
    assert [name for name, _ in skipped] == ["bad.png", "cut.png"]
    assert len(data) == 6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda root: root, "no images"),
        (lambda root: make_folder(root, classes=("cat",)), "one class only"),
        (lambda root: root / "none", "no data at"),
    ],
)
def test_a_folder_without_images_or_with_one_class_is_refused(tmp_path, make, said):
    with pytest.raises(DataError, match=said):
        read_data(make(tmp_path), None)


def test_images_of_mixed_sizes_are_refused_where_no_size_is_given(tmp_path):
    folder = make_folder(tmp_path)
    Image.fromarray(PIXELS[0][:5]).save(folder / "dog" / "z.png")
    with pytest.raises(DataError, match=r"2 sizes: .*0\.png is 12x10, .*z\.png is 5x10; .* --image-size 12x10"):
        read_data(folder, None)
    assert len(read_data(folder, (6, 5, 1))) == 7
    assert read_data(folder, (6, 5)).images.shape == (7, 6, 5, 3)


def test_a_photo_that_lies_counts_as_it_stands(tmp_path):
    folder = make_folder(tmp_path)
    for name, suffix in (("lying", "jpg"), ("lying", "png")):
        image = Image.fromarray(np.ascontiguousarray(PIXELS[0].transpose(1, 0, 2)))
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(folder / "cat" / f"{name}.{suffix}", exif=exif)
    assert read_data(folder, None).images.shape == (8, 12, 10, 3)


def test_images_of_mixed_modes_become_rgb_and_it_is_told(tmp_path):
    folder = make_folder(tmp_path)
    image = Image.fromarray(PIXELS[0])
    for mode in ("L", "P", "RGBA", "CMYK", "1"):
        image.convert(mode).save(folder / "dog" / f"of-{mode}.{'jpg' if mode == 'CMYK' else 'png'}")
    Image.fromarray(np.full((12, 10), 0x8000, np.uint16)).save(folder / "dog" / "wide.png")
    told = []
    data = read_data(folder, None, on_remark=told.append)
    assert data.images.shape == (12, 12, 10, 3)
    assert "6 RGB" in told[0]
    assert all(f"1 {mode}" in told[0] for mode in ("L", "P", "RGBA", "CMYK", "1", "I;16"))
    assert "1 images have transparency (of-RGBA.png)" in told[1]
    gray = np.asarray(image.convert("L"))
    of = {source.rsplit("/", 1)[1]: pixels for source, pixels in zip(data.sources, data.images, strict=True)}
    np.testing.assert_array_equal(of["of-L.png"], np.repeat(gray[..., None], 3, axis=2))
    assert np.all(of["wide.png"] == 0x80)


def test_a_folder_of_gray_images_stays_gray_whatever_their_depth(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(PIXELS[0][..., 0]).save(tmp_path / name / "8.png")
        Image.fromarray(PIXELS[0][..., 0].astype(np.uint16) * 257).save(tmp_path / name / "16.png")
    data = read_data(tmp_path, None)
    np.testing.assert_array_equal(data.images, np.repeat(PIXELS[:1, :, :, :1], 4, axis=0))


def test_a_class_that_the_model_does_not_know_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match="'dog' is not one of the model's classes cat, bird"):
        read_data(make_folder(tmp_path), None, ("cat", "bird"))


def test_hidden_files_and_other_suffixes_are_no_images(tmp_path):
    folder = make_folder(tmp_path)
    (folder / "cat" / ".DS_Store").write_bytes(b"x")
    (folder / "cat" / "notes.txt").write_text("x")
    (folder / "cat" / ".thumbs").mkdir()
    Image.fromarray(PIXELS[0]).save(folder / "cat" / ".thumbs" / "t.png")
    assert len(list_images(folder)) == 6


def npz(tmp_path, **arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    return tmp_path / "d.npz"


def test_an_npz_gives_pixels_and_labels_and_gray_gets_a_channel(tmp_path):
    data = read_data(npz(tmp_path, x=PIXELS[..., 0], y=np.array([0, 1, 2, 0, 1, 2])), None)
    assert data.images.shape == (6, 12, 10, 1)
    assert data.class_names == ("0", "1", "2")


def test_an_npz_may_name_its_classes_in_another_order_than_the_model(tmp_path):
    path = npz(tmp_path, x=PIXELS, y=np.array([0, 1, 0, 1, 0, 1]), labels=np.array(["dog", "cat"]))
    assert read_data(path, None, ("cat", "dog")).labels.tolist() == [1, 0, 1, 0, 1, 0]


def test_labels_may_be_names(tmp_path):
    path = npz(tmp_path, x=PIXELS, y=np.array(["b", "a"] * 3))
    assert read_data(path, None).labels.tolist() == [1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": PIXELS}, "not x and y"),
        ({"x": PIXELS, "y": np.arange(5) % 3}, "5 labels"),
        ({"x": PIXELS, "y": np.array([1, 2, 3, 1, 2, 3])}, "labels start at 1"),
        ({"x": PIXELS, "y": np.full(6, -1)}, "out of range"),
        ({"x": PIXELS, "y": np.eye(6)}, "label 3 is out of range"),
        ({"x": PIXELS, "y": np.full((6, 3), 1 / 3)}, "not one-hot"),
        ({"x": PIXELS, "y": np.zeros((6, 3))}, "not one-hot"),
        ({"x": PIXELS, "y": np.zeros((6, 3, 1))}, r"shape \(6, 3, 1\), not \(n,\)"),
        ({"x": PIXELS, "y": np.array([0, 1, np.nan, 1, 0, 1])}, "holds nan"),
        ({"x": PIXELS, "y": np.array([0, 1, np.inf, 1, 0, 1])}, "holds inf"),
        ({"x": PIXELS, "y": np.array([0, 1, 1e300, 1, 0, 1])}, r"holds 1e\+300"),
        ({"x": PIXELS, "y": np.array([b"a", b"\xff"] * 3)}, "not UTF-8"),
        ({"x": PIXELS.transpose(0, 3, 1, 2), "y": np.zeros(6, int)}, r"x\.transpose\(0, 2, 3, 1\)"),
        ({"x": np.repeat(PIXELS[..., :1], 4, 3), "y": np.zeros(6, int)}, "drop the fourth channel"),
        ({"x": np.full((6, 4), 1e300), "y": np.zeros(6, int)}, "infinity"),
        ({"x": PIXELS, "y": np.full(6, 0.5)}, "integers"),
        ({"x": np.full((6, 4), np.nan, np.float32), "y": np.zeros(6, int)}, "NaN"),
        ({"x": PIXELS.astype(np.int32), "y": np.zeros(6, int)}, "save pixels as uint8"),
        ({"x": PIXELS[..., :2], "y": np.zeros(6, int)}, "reshape"),
        ({"x": np.empty((0, 4, 4, 1), np.uint8), "y": np.empty(0, int)}, "no samples"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_with_the_reason(tmp_path, arrays, said):
    names = ("a", "b", "c") if "y" in arrays else None
    with pytest.raises(DataError, match=said):
        read_data(npz(tmp_path, **arrays), None, names)


def test_a_stray_label_does_not_make_a_billion_classes(tmp_path):
    with pytest.raises(DataError, match="number the classes from 0"):
        read_data(npz(tmp_path, x=PIXELS, y=np.array([0, 1, 2, 3, 4, 10**15])), None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04rest", b"hello"])
def test_a_damaged_npz_is_one_clear_error(tmp_path, content):
    (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read_data(tmp_path / "d.npz", None)


def test_pickled_objects_are_never_loaded(tmp_path):
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read_data(npz(tmp_path, x=np.array([{}], object), y=np.zeros(1, int)), None)
