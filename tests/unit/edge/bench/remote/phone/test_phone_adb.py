"""What adb says (AOSP packages/modules/adb: transport.cpp, client/), as errors that say what to do."""

import pytest

from edge.bench.remote.phone.adb import Adb
from edge.bench.remote.phone.folder import Folder
from runtimes.errors import InputError

PHONE = Adb("R58N123")


def test_a_command_is_one_argument_behind_the_serial() -> None:
    assert PHONE.argv("shell", "ls '/x y'; id") == [
        "adb",
        "-s",
        "R58N123",
        "shell",
        "ls '/x y'; id",
    ]


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("error: device 'R58N123' not found", "no such device"),
        ("error: no devices/emulators found", "no such device"),
        (
            "error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n",
            "has not allowed this computer",
        ),
        ("error: device still authorizing", "has not allowed this computer"),
        ("error: device offline", "is offline"),
        (
            "error: insufficient permissions for device: user in plugdev group; are your udev rules wrong?",
            "android-sdk-platform-tools-common",
        ),
        ("adb: cannot connect to daemon at tcp:5037: Connection refused", "adb start-server"),
        ("error: closed", ""),
    ],
)
def test_what_keeps_adb_from_the_phone(said, cause) -> None:
    found = PHONE.cause(said)
    assert cause in found
    assert bool(cause) == bool(found)


def test_directories_have_names_of_their_own() -> None:
    first, second = Folder(PHONE).path, Folder(PHONE).path
    assert first != second
    assert first.startswith("/data/local/tmp/edgepose-")


def test_a_lost_phone_is_named_in_one_line() -> None:
    assert (
        str(PHONE.lost("error:\n closed\n")) == "adb:R58N123: the phone disappeared (error: closed)"
    )
    assert not isinstance(PHONE.lost(""), InputError)
