"""A camera behind http:// that sends JPEG pictures one after the other."""

import contextlib
import http.server
import threading
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from edge.types import U8


def jpeg_of(image: U8) -> bytes:
    return cv2.imencode(".jpg", np.asarray(image))[1].tobytes()


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    """Answers with the pictures of `pictures()`, until they end or nobody listens."""

    def pictures(self) -> Iterable[bytes] | None:
        """JPEG files, or bytes that are none; None to refuse the connection."""
        raise NotImplementedError

    def do_GET(self) -> None:
        pictures = self.pictures()
        if pictures is None:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        with contextlib.suppress(OSError):
            for data in pictures:
                head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}"
                self.wfile.write(f"{head}\r\n\r\n".encode() + data + b"\r\n")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def mjpeg_camera(handler: type[MjpegHandler]) -> Iterator[str]:
    """Serve in a thread; yield the address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/camera.mjpg"
        finally:
            server.shutdown()
            thread.join()
