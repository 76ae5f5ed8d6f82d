import re

import pytest

from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.core.targets import TARGETS, find_target
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.budget import Budget, check_budget, model_costs
from edge_cnn.host.tensorflow_import import import_tensorflow


@pytest.fixture(scope="module")
def mobilenet():
    return build_model("mobilenet_v1_025", (96, 96, 3), 2)


def test_a_model_within_all_limits_is_described_with_its_costs(mobilenet):
    report = check_budget(mobilenet, Budget(221_794, 7_489_664, 300_000), find_target("cortex-m7"))
    assert [limit["source"] for limit in report.to_json()["limits"]] == [
        *("--max-params", "--max-macs", "--max-size", "the flash of cortex-m7", "the RAM of cortex-m7")
    ]
    assert all(limit["used"] <= limit["limit"] for limit in report.to_json()["limits"])
    assert report.describe().startswith(
        "mobilenet_v1_025: 221,794 parameters, 7,489,664 multiply-accumulates a sample, about 29"
    )
    assert sum(layer["macs"] for layer in report.to_json()["layers"]) == 7_489_664


def test_a_target_that_states_no_memory_is_told_to_hold_nothing(mobilenet):
    (second,) = check_budget(mobilenet, Budget(), find_target("ethos-u85")).describe().splitlines()[1:]
    assert second == "ethos-u85 states no memory, so nothing is held against it; --max-size sets a limit"
    assert "\n" not in check_budget(mobilenet, Budget(), find_target("cortex-m7")).describe()


def test_who_starts_from_a_network_is_not_advised_another_architecture(mobilenet):
    with pytest.raises(CheckFailedError, match="; start --from a smaller network") as caught:
        check_budget(mobilenet, Budget(max_params=100), pretrained=True)
    assert "--arch" not in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_params": 221_793}, "has 221,794 parameters, and --max-params is 221,793"),
        ({"max_macs": 7_000_000}, "takes 7,489,664 multiply-accumulates a sample, and --max-macs is 7,000,000"),
        ({"max_size": 200_000}, r"takes 29\d,\d\d\d bytes as int8 .tflite \(estimated\), and --max-size is 200,000"),
    ],
)
def test_one_line_tells_the_number_the_limit_and_an_architecture_that_fits(mobilenet, limits, said):
    budget = Budget(**limits)
    with pytest.raises(CheckFailedError, match=said) as caught:
        check_budget(mobilenet, budget)
    assert "\n" not in str(caught.value)
    advised = re.search(r"give --arch (\w+), which (has|takes) [\d,]+$", str(caught.value))
    assert advised
    # Whoever follows the advice comes through.
    check_budget(build_model(advised[1], (96, 96, 3), 2), budget)


def test_the_advice_is_the_architecture_that_computes_most_within_all_limits():
    model = build_model("lenet", (28, 28, 1), 10)
    costs = {name: model_costs(build_model(name, (28, 28, 1), 10)) for name in ("resnet8", "mlp", "ds_cnn")}
    assert costs["resnet8"].macs > costs["ds_cnn"].macs > costs["mlp"].macs
    with pytest.raises(CheckFailedError, match="give --arch resnet8, which has 78,"):
        check_budget(model, Budget(max_params=100_000))
    with pytest.raises(CheckFailedError, match="give --arch ds_cnn, which has 24,"):
        check_budget(model, Budget(max_params=100_000, max_macs=5_000_000))
    with pytest.raises(CheckFailedError, match=r"give --arch mlp, which has 26,506"):
        check_budget(model, Budget(max_params=100_000, max_macs=1_000_000))


def test_where_nothing_fits_one_is_told_so():
    with pytest.raises(
        CheckFailedError, match="no other architecture keeps to it with inputs of 28x28x1; give smaller"
    ):
        check_budget(build_model("lenet", (28, 28, 1), 10), Budget(max_params=100))
    # A classifier is no way out of an autoencoder.
    with pytest.raises(CheckFailedError, match="no other architecture keeps to it"):
        check_budget(build_model("autoencoder", (28, 28, 1), 10), Budget(max_params=200_000))


def test_the_memory_of_a_target_is_a_limit():
    with pytest.raises(
        CheckFailedError, match=r"bytes of int8 activations at the least, and the RAM of cortex-m7 is 327"
    ):
        check_budget(build_model("resnet8", (96, 96, 3), 10), Budget(), find_target("cortex-m7"))
    with pytest.raises(
        CheckFailedError, match=r"takes 1,\d+,\d+ bytes as int8 .tflite \(estimated\), and the flash of"
    ):
        check_budget(build_model("lenet", (128, 128, 1), 10), Budget(), find_target("cortex-m7"))
    # The same network fits where there is more of both, and where memory does not decide.
    for target in ("cortex-m4", "rpi5"):
        check_budget(build_model("resnet8", (96, 96, 3), 10), Budget(), find_target(target))


@pytest.mark.parametrize("target", [name for name, row in TARGETS.items() if row.memory is not None])
def test_every_small_image_fits_every_target_with_memory_limits(target):
    for name in ARCHITECTURES:
        check_budget(build_model(name, (32, 32, 3), 10), Budget(), find_target(target))


def test_a_target_that_takes_float_alone_is_measured_in_float(mobilenet):
    report = check_budget(mobilenet, Budget(max_size=900_000), find_target("jetson-nano"))
    assert report.scheme == "float32"
    with pytest.raises(CheckFailedError, match=r"bytes as float32 .tflite \(estimated\), and --max-size is 300,000"):
        check_budget(mobilenet, Budget(max_size=300_000), find_target("jetson-nano"))


def test_multiplications_that_cannot_be_counted_are_not_taken_for_none():
    _, keras = import_tensorflow()
    rows = keras.Input((8, 4))
    attention = keras.layers.MultiHeadAttention(2, 4, name="attention")(rows, rows)
    model = keras.Model(rows, keras.layers.Dense(2)(keras.layers.Flatten()(attention)))
    with pytest.raises(CheckFailedError, match=r"layer 'attention' of .* are not counted, so --max-macs cannot be"):
        check_budget(model, Budget(max_macs=10**9))
    assert check_budget(model, Budget(max_params=10**9)).to_json()["uncounted"] == ["attention"]


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(InputError, match="max_size 0: a limit must be at least 1"):
        Budget(max_size=0)
