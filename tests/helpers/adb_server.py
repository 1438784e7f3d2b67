"""A scripted adb server with one phone, whose shell is a local one in a folder; it speaks what adb's client speaks.

AOSP packages/modules/adb: SERVICES.TXT and OVERVIEW.TXT (requests of the server), SYNC.TXT (files), shell_protocol.h.
"""

import contextlib
import os
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ADB = shutil.which("adb")
VERSION = (
    b"0029"  # 41, of every client since 2018; another one would end this server and start its own
)
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
# as the server words them, transport.cpp
UNAUTHORIZED = (
    "device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\nTry 'adb kill-server' if that seems wrong.\n"
    "Otherwise check for a confirmation dialog on your device."
)


@dataclass
class Phone:
    """The phone: folder that is its file system, state, and what goes wrong on it.

    lost_at: the command with the n-th start of a tool (from 1) is the last that it hears; full: it has no room.
    """

    root: Path
    serial: str = "emulator-5554"
    state: str = "device"
    full: bool = False
    lost_at: int = 0
    started: int = 0
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def temporary(self) -> Path:
        """Its /data/local/tmp."""
        return self.root / "data/local/tmp"

    def problem(self, serial: str) -> str:
        """What the server answers in place of a connection, "" where there is one."""
        if serial != self.serial or self.state == "gone":
            return f"device '{serial}' not found"
        return {"device": "", "unauthorized": UNAUTHORIZED, "offline": "device offline"}[self.state]

    def local(self, text: str) -> str:
        """Paths of the phone as paths of this machine."""
        for top in ("/data/", "/proc/", "/sys/"):
            text = text.replace(top, f"{self.root}{top}")
        return text

    def remote(self, data: bytes) -> bytes:
        """Paths of this machine as paths of the phone."""
        return data.replace(str(self.root).encode(), b"")

    def disappear(self) -> None:
        """Cut every connection and answer no more."""
        self.state = "gone"
        for each in list(self.sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class AdbServer(socketserver.ThreadingTCPServer):
    """A server on a free port of the loopback interface; `environment` points adb's client at it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, phone: Phone) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.phone = phone
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that adb reads."""
        return {"ANDROID_ADB_SERVER_PORT": str(self.server_address[1])}


class _Connection(socketserver.StreamRequestHandler):
    server: AdbServer

    def handle(self) -> None:
        phone = self.server.phone
        phone.sockets.append(self.connection)
        with contextlib.suppress(OSError, EOFError):
            while self._request(phone, self._exactly(int(self._exactly(4), 16)).decode()):
                pass
        phone.sockets.remove(self.connection)

    def _request(self, phone: Phone, service: str) -> bool:
        """Answer one request; return whether another may follow on the connection."""
        if service == "host:version":
            self._answer(VERSION)
        elif service.startswith(("host:transport:", "host:tport:serial:")):
            serial = service.removeprefix("host:transport:").removeprefix("host:tport:serial:")
            if problem := phone.problem(serial):
                self._fail(problem)
                return False
            self.wfile.write(b"OKAY" + (struct.pack("<Q", 1) if ":tport:" in service else b""))
            return True
        elif service.startswith("host-serial:"):
            serial, _, question = service.removeprefix("host-serial:").rpartition(":")
            if problem := phone.problem(serial):
                self._fail(problem)
            else:
                self._answer({"get-state": b"device", "features": b"shell_v2,cmd"}[question])
        elif service.startswith("host:"):
            self._answer(b"shell_v2,cmd")
        elif service.startswith("shell,v2"):
            self._shell(phone, service.partition(":")[2])
        elif service == "sync:":
            self.wfile.write(b"OKAY")
            while self._sync(phone):
                pass
        else:
            self._fail(f"unknown service {service}")
        return False

    def _shell(self, phone: Phone, command: str) -> None:
        self.wfile.write(b"OKAY")
        if " ./bench" in command:
            phone.started += 1
            if phone.started == phone.lost_at:
                phone.disappear()
                return
        process = subprocess.Popen(
            ["/bin/sh", "-c", phone.local(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{phone.root}/bin:/usr/bin:/bin"},
            start_new_session=True,
        )
        lock = threading.Lock()
        pumps = [
            threading.Thread(target=self._pump, args=(phone, pipe, kind, lock))
            for pipe, kind in ((process.stdout, STDOUT), (process.stderr, STDERR))
        ]
        for pump in pumps:
            pump.start()
        feed = threading.Thread(target=self._feed, args=(process,), daemon=True)
        feed.start()
        for pump in pumps:
            pump.join()
        with contextlib.suppress(OSError):
            self.wfile.write(struct.pack("<BIB", EXIT, 1, process.wait() & 0xFF))
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)  # ends the client, and then our reading
        feed.join()

    def _pump(self, phone: Phone, pipe: IO[bytes], kind: int, lock: threading.Lock) -> None:
        with pipe:
            for line in pipe:
                data = phone.remote(line)
                with lock, contextlib.suppress(OSError):
                    self.wfile.write(struct.pack("<BI", kind, len(data)) + data)

    def _feed(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass stdin on; where the client or the phone is gone, hang up and close stdin, as adbd does."""
        try:
            while True:
                kind, size = struct.unpack("<BI", self._exactly(5))
                data = self._exactly(size)
                if kind == STDIN:
                    process.stdin.write(data)
                    process.stdin.flush()
                elif kind == CLOSE_STDIN:
                    process.stdin.close()
        except (OSError, EOFError, ValueError):
            process.send_signal(signal.SIGHUP)
        with contextlib.suppress(OSError, ValueError):
            process.stdin.close()

    def _sync(self, phone: Phone) -> bool:
        kind, size = struct.unpack("<4sI", self._exactly(8))
        name = self._exactly(size).decode()
        if kind == b"STAT":
            path = Path(phone.local(name))
            mode = path.stat().st_mode if path.exists() else 0
            self.wfile.write(struct.pack("<4sIII", b"STAT", mode, 0, 0))
            return True
        if kind != b"SEND":  # QUIT
            return False
        target, _, mode = name.rpartition(",")
        data = b""
        while True:
            part, size = struct.unpack("<4sI", self._exactly(8))
            if part == b"DONE":  # size is the time of the file
                break
            data += self._exactly(size)
        if phone.full:
            said = b"write failed: No space left on device"
            self.wfile.write(struct.pack("<4sI", b"FAIL", len(said)) + said)
            return False
        path = Path(phone.local(target))
        path.write_bytes(data)
        path.chmod(int(mode) & 0o777)
        self.wfile.write(struct.pack("<4sI", b"OKAY", 0))
        return True

    def _exactly(self, count: int) -> bytes:
        data = self.rfile.read(count)
        if len(data) < count:
            raise EOFError
        return data

    def _answer(self, text: bytes) -> None:
        self.wfile.write(b"OKAY%04x%s" % (len(text), text))

    def _fail(self, text: str) -> None:
        self.wfile.write(b"FAIL%04x%s" % (len(text), text.encode()))
