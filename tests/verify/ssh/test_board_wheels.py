from importlib.metadata import version

import pytest

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.board_wheels import BoardPython

PI = BoardPython((3, 11, 2), "aarch64", ("glibc", "2.36"))


def test_a_board_gets_the_versions_of_this_side():
    assert PI.requirements(None) == tuple(
        f"{name}=={version(name)}" for name in ("numpy", "ai-edge-litert", "onnxruntime")
    )
    assert PI.requirements("litert-ref") == PI.requirements(None)


@pytest.mark.parametrize("runtime", ["tflite-runtime", "tflite-runtime-ref"])
def test_the_old_interpreter_is_installed_where_it_is_asked_for(runtime):
    assert PI.requirements(runtime) == ("numpy<2", "tflite-runtime==2.14.0")


def test_a_32_bit_board_gets_the_old_interpreter_and_debians_numpy():
    board = BoardPython((3, 11, 2), "armv7l", ("glibc", "2.36"))
    assert board.requirements(None) == ("numpy<2", "tflite-runtime==2.14.0")
    assert board.takes_system_packages
    assert not PI.takes_system_packages


def test_a_machine_without_wheels_is_unavailable():
    with pytest.raises(DeviceUnavailableError, match="'riscv64', for which the runtimes have no wheels"):
        BoardPython((3, 12, 1), "riscv64", ("glibc", "2.39")).requirements(None)


def test_an_environment_is_keyed_by_all_that_it_depends_on():
    wanted = PI.requirements(None)
    keys = {
        PI.environment_key(wanted),
        PI.environment_key(PI.requirements("tflite-runtime")),
        BoardPython((3, 11, 3), "aarch64", ("glibc", "2.36")).environment_key(wanted),
        BoardPython((3, 11, 2), "x86_64", ("glibc", "2.36")).environment_key(wanted),
    }
    assert len(keys) == 4
    assert PI.environment_key(wanted) == BoardPython((3, 11, 2), "aarch64", ("glibc", "2.36")).environment_key(wanted)


def test_platform_tags_are_those_that_the_boards_own_pip_would_take():
    from packaging.tags import platform_tags

    glibc = BoardPython((3, 11, 2), "x86_64", ("glibc", "2.20"))
    assert glibc.platforms == (
        "manylinux_2_20_x86_64",
        "manylinux_2_19_x86_64",
        "manylinux_2_18_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux2014_x86_64",
        "linux_x86_64",
        "any",
    )
    import platform

    name, number = platform.libc_ver()
    if name != "glibc":
        pytest.skip("needs glibc: run it on Linux with glibc")
    here = BoardPython((3, 11, 2), platform.machine(), (name, number))
    assert set(here.platforms) - {"any"} <= set(platform_tags())
