import json

import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.workers.cluster import Cluster, read_tf_config

PAIR = ("a:4000", "b:4000")


def test_the_shares_of_the_workers_are_the_batch_whatever_its_size():
    for workers in (1, 2, 3, 7):
        addresses = tuple(f"h:{4000 + index}" for index in range(workers))
        for batch in (workers, 10, 25, 64):
            shares = [range(*Cluster(addresses, index).part(batch)) for index in range(workers)]
            assert [row for share in shares for row in share] == list(range(batch))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_what_is_told_to_tensorflow_is_read_back():
    cluster = Cluster(PAIR, 1)
    assert read_tf_config({"TF_CONFIG": cluster.to_tf_config()}) == cluster


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": Cluster(PAIR[:1], 0).to_tf_config()}])
def test_without_other_workers_there_is_no_cluster(environment):
    assert read_tf_config(environment) is None


@pytest.mark.parametrize(
    ("addresses", "index", "said"),
    [
        (("a", "b:1"), 0, "worker address 'a': give host:port"),
        (("a:x", "b:1"), 0, "worker address 'a:x': give host:port"),
        (("a:99999", "b:1"), 0, "worker address 'a:99999': give host:port"),
        ((":1", "b:1"), 0, "worker address ':1': give host:port"),
        (("a:1", "a:1"), 0, "worker addresses a:1,a:1: one stands there twice"),
        (PAIR, 2, "worker index 2: there are 2 worker addresses, so it goes from 0 to 1"),
        (PAIR, -1, "worker index -1"),
    ],
)
def test_a_cluster_that_cannot_be_is_one_clear_line(addresses, index, said):
    with pytest.raises(InputError, match=said):
        Cluster(addresses, index)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "TF_CONFIG holds no cluster"),
        ("[]", "TF_CONFIG holds no cluster"),
        (json.dumps({"cluster": {"worker": list(PAIR)}}), "TF_CONFIG holds no cluster"),
        (
            json.dumps({"cluster": {"worker": list(PAIR), "ps": ["c:1"]}, "task": {"type": "worker", "index": 0}}),
            r"names other roles than 'worker', \['ps', 'worker'\]",
        ),
        (
            json.dumps({"cluster": {"chief": ["c:1"], "worker": list(PAIR)}, "task": {"type": "chief", "index": 0}}),
            "names other roles than 'worker'",
        ),
    ],
)
def test_an_environment_that_names_no_workers_is_one_clear_line(content, said):
    with pytest.raises(InputError, match=said):
        read_tf_config({"TF_CONFIG": content})
