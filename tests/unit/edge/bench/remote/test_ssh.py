"""What OpenSSH says (9.2, Debian 12), as errors that say what to do."""

import subprocess
from pathlib import Path

import pytest

from edge.bench.remote.ssh import Ssh, check_options, is_own, repeated
from edge.bench.remote.target import Target
from runtimes.errors import DeviceLostError, InputError

BOARD = Ssh(Target("board", "pi"))


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("ssh: Could not resolve hostname board: Name or service not known\r\n", "no such host"),
        ("pi@board: Permission denied (publickey,password).\r\n", "ssh-copy-id pi@board"),
        ("ssh: connect to host board port 22: Connection refused\r\n", "no SSH server answers"),
        ("ssh: connect to host board port 22: No route to host\r\n", "cannot be reached"),
        ("ssh: connect to host board port 22: Connection timed out\r\n", "cannot be reached"),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.\r\n",
            "ssh-keygen -R board",
        ),
        (
            "No ED25519 host key is known for board and you have requested strict checking.\r\n",
            "its host key is not known here; run ssh pi@board once",
        ),
    ],
)
def test_what_keeps_ssh_from_the_board(stderr, said) -> None:
    error = BOARD.failure(255, stderr, "copying")
    assert isinstance(error, InputError)
    assert str(error).startswith("pi@board: ")
    assert said in str(error)
    assert "\n" not in str(error)


CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
Add correct host key in /home/pi/my hosts to get rid of this message.\r
Offending ED25519 key in /home/pi/my hosts:3\r
Host key for [board]:2222 has changed and you have requested strict checking.\r
Host key verification failed.\r
"""


def test_commands_to_paste_reach_the_same_server() -> None:
    """They have the port and the configuration; an old key is dropped from the file, and by the name, that ssh says."""
    there = Ssh(Target("board", "pi", 2222), Path("my config"))
    config = "-F 'my config' -p 2222 pi@board"

    def said(stderr: str) -> str:
        return str(there.failure(255, stderr, "copying"))

    unknown = "No ED25519 host key is known for board and you have requested strict checking.\r\n"
    assert f"run ssh {config} once" in said(unknown)
    assert f"ssh-copy-id {config}" in said("pi@board: Permission denied (publickey).\r\n")
    assert f"run: ssh-keygen -f '/home/pi/my hosts' -R '[board]:2222', then ssh {config} once" in (
        said(CHANGED)
    )
    bare = "REMOTE HOST IDENTIFICATION HAS CHANGED"
    assert "run: ssh-keygen -R '[board]:2222', " in said(bare)


def test_a_board_is_named_again_as_it_was() -> None:
    assert repeated("ssh:pi@board", "python3", None) == ["--remote", "ssh:pi@board"]
    again = repeated("ssh:pi@board:22", "~/a b/python", Path("my config"))
    assert again == [
        *("--remote", "ssh:pi@board:22", "--remote-python", "~/a b/python"),
        *("--ssh-config", "my config"),
    ]


# as OpenSSH's sources have them: clientloop.c, packet.c, kex.c, sshconnect.c
@pytest.mark.parametrize(
    "stderr",
    [
        "client_loop: send disconnect: Broken pipe\r\n",
        "Connection to board closed by remote host.\r\n",
        "Timeout, server board not responding.\r\n",
        "kex_exchange_identification: Connection closed by remote host\r\n",
        "banner exchange: Connection to 10.0.0.2 port 22: invalid format\r\n",
        "Read from remote host board: Connection reset by peer\r\n",
        "Connection closed by 10.0.0.2 port 22\r\n",
        "Unable to negotiate with 10.0.0.2 port 22: no matching host key type found.\r\n",
        "a warning of an engine\nConnection to board closed by remote host.\r\n",
    ],
)
def test_a_broken_connection_is_a_lost_device(stderr) -> None:
    error = BOARD.failure(255, stderr, "copying")
    assert isinstance(error, DeviceLostError)
    assert is_own(stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        "",
        "Connection to this board is recorded.\r\n",  # a banner of the server
        "BrokenPipeError: [Errno 32] Broken pipe\n",
        "failed to open /dev/dri/renderD128: not granted\n",
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x7f (most recent call first):\n",
    ],
)
def test_a_process_that_a_signal_ended_is_no_lost_connection(stderr) -> None:
    error = BOARD.failure(255, stderr, "copying")
    assert not isinstance(error, DeviceLostError)
    assert str(error).startswith("pi@board: copying: the process there was ended, or ")
    assert not is_own(stderr)


def test_a_command_that_fails_there_is_named_with_its_last_words() -> None:
    error = BOARD.failure(3, "mktemp: failed to create directory: Permission denied\n", "making")
    assert str(error) == (
        "pi@board: making failed with exit code 3 (mktemp: failed to create directory: Permission denied)"
    )
    full = BOARD.failure(2, "tar: x: Cannot write: No space left on device\n", "copying")
    assert "its disk is full" in str(full)


def test_words_reach_the_shell_there_as_they_are_and_a_home_directory_is_its_own() -> None:
    words = ["printf", "%s\n", "~/a b/python", "~", "~/$(id)'\"", "x~/y", "$HOME", "~root/x"]
    done = subprocess.run(
        ["/bin/sh", "-c", BOARD.argv(words)[-1]],
        env={"HOME": "/home/my pi", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    home = "/home/my pi"
    assert done.stdout.splitlines() == [
        *(f"{home}/a b/python", "~", f"{home}/$(id)'\""),
        *("x~/y", "$HOME", "~root/x"),
    ]


def test_options_of_ssh_are_checked_before_it_is_started(tmp_path) -> None:
    file = tmp_path / "config"
    file.write_text("")
    check_options("ssh:board", "~/pose/bin/python", file)
    check_options("ssh:board", "python3", Path("/dev/null"))
    check_options(None, "python3", None)
    for python, config in (("python3", file), ("python3.12", None)):
        with pytest.raises(InputError, match="are of a board: add --remote ssh:USER@HOST"):
            check_options(None, python, config)
    with pytest.raises(InputError, match=r"--ssh-config .*/nope: no such file"):
        check_options("ssh:board", "python3", tmp_path / "nope")
    with pytest.raises(InputError, match=r"--ssh-config .* is a directory; name a file"):
        check_options("ssh:board", "python3", tmp_path)
    with pytest.raises(InputError, match=r"--ssh-config .*/config/x: Not a directory"):
        check_options("ssh:board", "python3", file / "x")
