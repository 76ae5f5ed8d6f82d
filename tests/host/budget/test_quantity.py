import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.budget.quantity import parse_bytes, parse_count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("200000", 200_000), ("200,000", 200_000), ("200_000", 200_000), ("200k", 200_000)),
        *(("1.5M", 1_500_000), ("2 G", 2 * 10**9), ("12.5m", 12_500_000), ("2.3M", 2_300_000), (" 7 ", 7)),
    ],
)
def test_counts_are_decimal(text, count):
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("65536", 65_536), ("64KiB", 65_536), ("64kib", 65_536), ("64Ki", 65_536), ("64kB", 64_000)),
        *(("64K", 64_000), ("1.5MiB", 1_572_864), ("1.5 MB", 1_500_000), ("100 B", 100), ("1GiB", 2**30)),
    ],
)
def test_sizes_tell_powers_of_1000_from_powers_of_1024(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "many", "-5", "1e6", "5 apples", "64KiB", "nan", "0", "0.4", "1.5", "1.5.2", "k"])
def test_what_is_no_count_is_answered_with_examples(text):
    with pytest.raises(InputError, match=r"give a count, for example 200000, 200k or 1.5M"):
        parse_count(text)


@pytest.mark.parametrize("text", ["", "-64KiB", "64 XB", "64bytes", "0KiB"])
def test_what_is_no_size_is_answered_with_examples(text):
    with pytest.raises(InputError, match=r"give a size in bytes, for example 100000, 100kB"):
        parse_bytes(text)
