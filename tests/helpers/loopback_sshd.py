"""An sshd on the loopback interface with keys, configuration and temporary directory of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
READY_S = 20
# of a run: a result of each kind
FILES = (
    *("--out", "o.mp4", "--save-json", "o.json"),
    *("--save-csv", "o.csv", "--save-jsonl", "o.jsonl"),
)


@dataclass(frozen=True)
class Sshd:
    """A running server: its port, the folder of its files, and the client configuration that trusts it."""

    port: int
    root: Path
    process: "subprocess.Popen[bytes]"

    @property
    def config(self) -> Path:
        """Configuration for `ssh -F`."""
        return self.root / "ssh_config"

    @property
    def temporary(self) -> Path:
        """TMPDIR of whoever logs in."""
        return self.root / "board-tmp"

    def trust(self, key: str) -> None:
        """Make a line of a host key the only one that the client knows for this server."""
        (self.root / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}\n")

    def host_key(self) -> str:
        """The server's public key."""
        return " ".join((self.root / "host_key.pub").read_text().split()[:2])

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        self.process.wait(20)


def remote(server: Sshd, python: object = sys.executable) -> tuple[object, ...]:
    """Options of a command that uses this server as its board."""
    where = ("--remote", f"ssh:127.0.0.1:{server.port}", "--ssh-config", server.config)
    return (*where, "--remote-python", python)


def left_on(server: Sshd) -> list[str]:
    """What lies in the board's temporary directory, once the shell that holds ours had time to remove it."""
    end = time.monotonic() + READY_S
    while (found := [each.name for each in server.temporary.iterdir()]) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def cut(server: Sshd) -> None:
    """Break all connections, as a board does that loses its power."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if parent == server.process.pid:
            os.kill(int(path.parent.name), signal.SIGKILL)


def make_key(path: Path) -> Path:
    """Make a key pair without a passphrase."""
    keygen = shutil.which("ssh-keygen") or "ssh-keygen"
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def start_sshd(root: Path, **environment: str) -> Sshd:
    """Start a server below `root`, or skip the test; environment: variables of whoever logs in."""
    if SSHD is None:
        pytest.skip("there is no sshd (apt install openssh-server)")
    host, user = make_key(root / "host_key"), make_key(root / "user_key")
    (root / "board-tmp").mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)  # privilege separation of root's
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {"TMPDIR": str(root / "board-tmp"), **environment}
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {host}",
        f"AuthorizedKeysFile {user}.pub",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        " ".join(["SetEnv", *(f"{name}={value}" for name, value in own.items())]),
    ]
    (root / "sshd_config").write_text("\n".join(lines) + "\n")
    client = [
        f"UserKnownHostsFile {root / 'known_hosts'}",
        "GlobalKnownHostsFile /dev/null",
        f"IdentityFile {user}",
        "IdentitiesOnly yes",
    ]
    (root / "ssh_config").write_text("\n".join(client) + "\n")
    command = [str(SSHD), "-D", "-e", "-f", str(root / "sshd_config")]
    with (root / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    server = Sshd(port, root, process)
    server.trust(server.host_key())
    _await(port, process)
    return server


def start_full_sshd(root: Path) -> Sshd:
    """Start a server below `root` whose tar ends as GNU's does on a full disk."""
    (root / "tools").mkdir()
    tar = root / "tools/tar"
    tar.write_text(
        "#!/bin/sh\necho 'tar: runner.py: Cannot write: No space left on device' >&2\nexit 2\n"
    )
    tar.chmod(0o755)
    return start_sshd(root, PATH=f"{tar.parent}:/usr/bin:/bin")


def _await(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("sshd did not start")
