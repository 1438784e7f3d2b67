"""The camera of benchmarks/soak.py: an HTTP server of motion JPEG that can stall, hang up and return."""

import socket
import threading
import time
from contextlib import suppress

import cv2
from soak_scene import draw


class Camera:
    """An HTTP server of motion JPEG on the loopback, which can stall, hang up, and go away."""

    def __init__(self) -> None:
        self.stalled = threading.Event()
        self._stop = threading.Event()
        self._port = 0
        self._server: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The stream's address."""
        return f"http://127.0.0.1:{self._port}/camera.mjpg"

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._stop.clear()
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", self._port))
        server.listen()
        server.settimeout(0.2)
        self._port = server.getsockname()[1]
        self._server = server
        self._thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Hang up and go away."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _serve(self, server: socket.socket) -> None:
        clients: list[threading.Thread] = []
        with server:
            while not self._stop.is_set():
                with suppress(TimeoutError):
                    client, _ = server.accept()
                    clients.append(threading.Thread(target=self._send, args=(client,), daemon=True))
                    clients[-1].start()
        for one in clients:
            one.join()

    def _send(self, client: socket.socket) -> None:
        head = "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        with client, suppress(OSError):
            client.recv(4096)
            client.sendall(head.encode())
            index = 0
            while not self._stop.is_set():
                if not self.stalled.is_set():
                    jpeg = cv2.imencode(".jpg", draw(index))[1].tobytes()
                    part = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    client.sendall(part.encode() + jpeg + b"\r\n")
                    index += 1
                time.sleep(0.02)
