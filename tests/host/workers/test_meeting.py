"""Workers that meet, as threads of this process."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_cnn.core.errors import EdgeCnnError, InputError, UnavailableError
from edge_cnn.host.workers.cluster import Cluster, split_address
from edge_cnn.host.workers.meeting import first_difference, meet
from edge_cnn.host.workers.supervisor import local_clusters
from edge_cnn.host.workers.wire import BrokenMessageError, receive, send

LONG = 60.0
FACTS = {"configuration": {"epochs": 3, "learning_rate": 0.1}, "training data": "abc"}


def all_meet(clusters, facts, state=b"", timeout=LONG):
    """What each worker came away with: its meeting or its error."""

    def one(cluster):
        try:
            return meet(cluster, facts[cluster.index], timeout, state if cluster.is_chief else b"")
        except EdgeCnnError as error:
            return error

    with ThreadPoolExecutor(len(clusters)) as pool:
        results = list(pool.map(one, clusters))
    for result in results:
        if not isinstance(result, EdgeCnnError):
            for connection in result.connections.values():
                connection.close()
    return results


def test_all_workers_get_the_state_that_the_chief_brought():
    state = bytes(range(256)) * 10_000
    results = all_meet(local_clusters(3), [FACTS] * 3, state)
    assert [result.state for result in results] == [state] * 3
    assert [sorted(result.connections) for result in results] == [[1, 2], [0], [0]]


def test_a_worker_with_another_configuration_is_named_to_all_with_the_difference():
    other = {**FACTS, "configuration": {"epochs": 3, "learning_rate": 0.2}}
    results = all_meet(local_clusters(2), [FACTS, other])
    assert all(isinstance(result, InputError) for result in results)
    assert all("worker 1 has configuration learning_rate 0.2, the chief 0.1" in str(result) for result in results)


def test_a_worker_with_other_data_is_refused():
    results = all_meet(local_clusters(2), [FACTS, {**FACTS, "training data": "xyz"}])
    assert "worker 1 has training data 'xyz', the chief 'abc'" in str(results[0])


def test_a_chief_alone_gives_up_with_the_name_of_the_worker_that_did_not_come():
    chief = local_clusters(3)[0]
    with pytest.raises(UnavailableError, match=rf"worker 1 \({chief.addresses[1]}\) did not come within 0.1 s; start"):
        meet(chief, FACTS, 0.1)


def test_a_worker_alone_gives_up_with_the_address_of_the_chief():
    worker = local_clusters(2)[1]
    with pytest.raises(UnavailableError, match=rf"the chief at {worker.addresses[0]} did not let worker 1 begin"):
        meet(worker, FACTS, 0.3)


def test_a_worker_that_does_not_know_the_name_of_its_chief_says_so(monkeypatch):
    asked = socket.getaddrinfo

    def lookup(host, *arguments, **named):
        if host == "nosuchhost":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return asked(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    worker = Cluster(("nosuchhost:41001", local_clusters(1)[0].addresses[0]), 1)
    said = (
        r"^worker 1 cannot find the chief at nosuchhost:41001: the name is not known here \(Name or .+ known\); correct"
    )
    with pytest.raises(UnavailableError, match=said):
        meet(worker, FACTS, 0.3)


@pytest.mark.parametrize("index", [0, 1])
def test_an_address_in_use_is_one_clear_line(index):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = local_clusters(2)[0].addresses[0]
        cluster = Cluster((address, other) if index == 0 else (other, address), index)
        with pytest.raises(UnavailableError, match=f"worker {index} cannot have its address {address}: it is in use"):
            meet(cluster, FACTS, LONG)


def test_an_address_of_another_machine_is_one_clear_line():
    cluster = Cluster(("192.0.2.1:4000", "192.0.2.2:4000"), 0)  # set aside for documentation, RFC 5737
    with pytest.raises(InputError, match=r"worker 0 cannot have its address 192.0.2.1:4000 \(.+\); give an address of"):
        meet(cluster, FACTS, LONG)


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"", b"\0\0\0\2\0\0\0\0\0\0\0\0[]"])
def test_who_is_no_worker_does_not_disturb_the_meeting(noise):
    clusters = local_clusters(2)
    met = threading.Event()

    def knock():
        while not met.is_set():
            try:
                with socket.create_connection(split_address(clusters[0].addresses[0])) as stranger:
                    stranger.sendall(noise)
                break
            except OSError:
                continue

    stranger = threading.Thread(target=knock)
    stranger.start()
    chief = ThreadPoolExecutor(1).submit(meet, clusters[0], FACTS, LONG)
    stranger.join(LONG)
    results = [meet(clusters[1], FACTS, LONG), chief.result(LONG)]
    met.set()
    for result in results:
        for connection in result.connections.values():
            connection.close()
    assert sorted(results[1].connections) == [1]


def test_the_first_difference_is_found_at_any_depth():
    assert first_difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == ("a c", 2, 3)
    assert first_difference({"a": 1}, {}) == ("a", 1, None)
    assert first_difference({}, {"a": 1}) == ("a", None, 1)
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}) is None


@pytest.fixture
def pair():
    mine, theirs = socket.socketpair()
    with mine, theirs:
        yield mine, theirs


def test_a_message_comes_as_it_was_sent(pair):
    mine, theirs = pair
    send(mine, {"end": 3, "message": "löst"}, b"body")
    send(mine, {})
    assert receive(theirs) == ({"end": 3, "message": "löst"}, b"body")
    assert receive(theirs) == ({}, b"")


@pytest.mark.parametrize(
    "data", [b"", b"\0\0", b"\xff" * 12, b"\0\0\0\2\0\0\0\0\0\0\0\0[]", b"\0\0\0\2\0\0\0\0\0\0\0\1{}"]
)
def test_what_is_no_message_is_known_as_such(pair, data):
    mine, theirs = pair
    mine.sendall(data)
    mine.shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenMessageError):
        receive(theirs)
