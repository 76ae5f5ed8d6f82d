import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.verify.devices.ssh_address import SshAddress
from edge_cnn.verify.devices.table import parse_device


@pytest.mark.parametrize(
    ("text", "address", "runtime"),
    [
        ("ssh://pi@board.local", SshAddress("board.local", "pi"), None),
        ("ssh://board", SshAddress("board"), None),
        ("ssh://pi@192.0.2.7:2222", SshAddress("192.0.2.7", "pi", 2222), None),
        ("ssh://pi@board:22/litert-ref", SshAddress("board", "pi", 22), "litert-ref"),
        ("ssh://board/onnxruntime", SshAddress("board"), "onnxruntime"),
        ("ssh://board/", SshAddress("board"), None),
        ("ssh://pi@[2001:db8::7]:2222/litert", SshAddress("2001:db8::7", "pi", 2222), "litert"),
        ("ssh://[fe80::1%eth0]", SshAddress("fe80::1%eth0"), None),
    ],
)
def test_a_board_is_a_url_with_the_runtime_as_its_path(text, address, runtime):
    device = parse_device(text)
    assert device.address == address
    assert device.wanted_runtime == runtime
    assert device.name == text
    assert not device.emulated


@pytest.mark.parametrize(
    "text",
    [
        "ssh",
        "ssh:",
        "ssh://",
        "ssh:board",
        "ssh:/board",
        "ssh://pi@",
        "ssh://@board",
        "ssh://board:port",
        "ssh://board:0",
        "ssh://board:65536",
        "ssh://2001:db8::7",
        "ssh://pi:password@board",
        "ssh://board/litert/more",
        "ssh://board/unheard-of",
        # Options and words of a shell, not names.
        "ssh://-oProxyCommand=reboot",
        "ssh://-l@board",
        "ssh://board;reboot",
        "ssh://$(reboot)@board",
        "ssh://pi@board reboot",
        "ssh://board\n",
    ],
)
def test_what_is_no_such_url_is_refused_with_the_form(text):
    with pytest.raises(InputError, match="known") as error:
        parse_device(text)
    assert error.value.exit_status == 2
    assert "\n" not in str(error.value)


def test_the_ssh_client_gets_user_port_and_host_apart():
    assert SshAddress("2001:db8::7", "pi", 2222).arguments == ("-l", "pi", "-p", "2222", "2001:db8::7")
    assert SshAddress("board").arguments == ("board",)


def test_a_command_to_type_names_the_port_only_where_there_is_one():
    assert SshAddress("board", "pi").by_hand() == "ssh pi@board"
    assert SshAddress("board", "pi", 2222).by_hand("ssh-copy-id") == "ssh-copy-id -p 2222 pi@board"
