"""A headless Chromium driven through the DevTools protocol over its debugging pipe, in real time."""

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1000,800", "--remote-debugging-pipe"),
)
TIMEOUT_S = 120


class Page:
    """One open page: commands go down one pipe as JSON ended by a zero byte, answers come up the other."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, answers
        self.pending = b""
        self.last_id = 0
        self.session: dict[str, str] = {}

    def call(self, method: str, **params: Any) -> Any:
        """Return the result of a protocol method; raises TimeoutError without an answer in TIMEOUT_S."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params} | self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            answer = json.loads(self._message(deadline))
            if answer.get("id") == self.last_id:
                assert "error" not in answer, answer
                return answer["result"]

    def _message(self, deadline: float) -> bytes:
        while b"\0" not in self.pending:
            if not select.select([self.answers], [], [], deadline - time.monotonic())[0]:
                raise TimeoutError(f"Chromium said nothing in {TIMEOUT_S} s")
            data = os.read(self.answers, 1 << 16)
            assert data, "Chromium ended"
            self.pending += data
        message, _, self.pending = self.pending.partition(b"\0")
        return message

    def open(self, url: str) -> None:
        """Open an address in a new tab, the one of later calls."""
        target = self.call("Target.createTarget", url=url)["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}

    def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def wait_for(self, expression: str) -> None:
        """Return once a JavaScript expression is true; raises TimeoutError with the page's text after TIMEOUT_S."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{expression} stayed false; {self.value('document.body.innerText')}"
                )
            time.sleep(0.1)

    def screenshot(self) -> bytes:
        """Return the visible part of the page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


@contextlib.contextmanager
def chromium(browser: str, folder: Path) -> Iterator[Page]:
    """Start the browser with a profile in the folder and end it with the block."""
    commands, answers = folder / "commands", folder / "answers"
    os.mkfifo(commands)
    os.mkfifo(answers)
    # the shell gives the pipes the numbers 3 and 4, which Chromium wants
    starter = f"exec \"$@\" 3<'{commands}' 4>'{answers}'"
    profile = f"--user-data-dir={folder / 'profile'}"
    process = subprocess.Popen(
        ["/bin/sh", "-c", starter, "sh", browser, *FLAGS, profile],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    down, up = os.open(commands, os.O_WRONLY), os.open(answers, os.O_RDONLY)
    page = Page(down, up)
    try:
        yield page
    finally:
        os.close(down)  # Chromium ends with its pipe
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(up)
