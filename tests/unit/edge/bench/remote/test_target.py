"""Names of boards, and the arguments that ssh is started with."""

import re
import shlex
from pathlib import Path

import pytest

from edge.bench.remote.ssh import Ssh
from edge.bench.remote.target import Phone, Target, parse_target, refuse_target
from runtimes.errors import InputError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("ssh:pi@raspberrypi.local", Target("raspberrypi.local", "pi")),
        ("ssh:jetson", Target("jetson")),
        ("ssh:root@10.0.0.7:2222", Target("10.0.0.7", "root", 2222)),
        ("ssh:pi@[fe80::1]:22", Target("fe80::1", "pi", 22)),
    ],
)
def test_a_board_is_named_as_for_ssh(text, target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "pi@board",
        "ssh:",
        "ssh:-oProxyCommand=touch owned",
        "ssh:pi@-oProxyCommand=x",
        "ssh:-l@board",
        "ssh:pi@board;reboot",
        "ssh:pi@board reboot",
        "ssh:pi@$(id)",
        "ssh:pi@board\n",
        "ssh:a@b@c",
        "ssh:board:0",
        "ssh:board:70000",
        "ssh:fe80::1",
    ],
)
def test_anything_else_is_refused(text) -> None:
    with pytest.raises(InputError, match="--remote wants ssh:USER@HOST"):
        parse_target(text)


@pytest.mark.parametrize(
    "serial",
    ["emulator-5554", "R58N123ABC", "192.168.0.7:5555", "[fe80::1]:5555", "adb-x._adb-tls._tcp"],
)
def test_a_phone_is_named_by_its_serial(serial) -> None:
    assert parse_target(f"adb:{serial}") == Phone(serial)


@pytest.mark.parametrize(
    "text", ["adb:", "adb:-s", "adb:x y", "adb:x;reboot", "adb:$(id)", "adb:x\n"]
)
def test_no_serial_is_refused(text) -> None:
    with pytest.raises(InputError, match="--remote wants adb:SERIAL"):
        parse_target(text)


@pytest.mark.parametrize("text", ["pi@board", "ssh://pi@board", "ssh://pi@board/"])
def test_what_was_meant_is_spelled_out(text) -> None:
    with pytest.raises(InputError, match=r"not '[^']*': write --remote ssh:pi@board$"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ssh:pi@board", "a board is named by --remote ssh:pi@board"),
        ("ssh:board", "a board is named by --remote ssh:board"),
        ("ssh://pi@board:2222", "a board is named by --remote ssh:pi@board:2222"),
        ("pi@board", "a board is named by --remote ssh:pi@board"),
        ("adb:emulator-5554", "a board is named by --remote adb:emulator-5554"),
        ("board:0", "board:0 is read by a board: `edgepose run SOURCE --remote ssh:USER@HOST`"),
        ("board:rtsp://me:secret@cam/1", "board:rtsp://cam/1 is read by a board"),
    ],
)
def test_a_board_in_a_files_place_is_refused(text, said) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        refuse_target(text)


@pytest.mark.parametrize(
    "text", ["clip.mp4", "a/b", "0", "-", "rtsp://me@cam/1", "ssh:a b", "synth", "a@b/c.mp4"]
)
def test_anything_else_is_left_to_its_reader(text) -> None:
    refuse_target(text)


def test_the_command_is_one_quoted_string_behind_the_host() -> None:
    words = ["sh", "-c", "echo $HOME; rm -rf '/x y'", "-"]
    argv = Ssh(Target("board", "pi", 2222), Path("/c d")).argv(words)
    assert argv[:3] == ["ssh", "-F", "/c d"]
    assert argv[-3:-1] == ["--", "pi@board"]
    assert shlex.split(argv[-1]) == words
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes"):
        assert argv[argv.index(option) - 1] == "-o"
