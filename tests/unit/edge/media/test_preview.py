"""The web preview over real HTTP: what viewers get, who may look, and that it ends."""

import contextlib
import functools
import http.client
import json
import logging
import shutil
import socket
import threading
import time

import cv2
import numpy as np
import pytest
from chromium import chromium

import edge
from edge.media.preview import Preview, parse_address
from edge.media.preview.connections import close_silent
from edge.media.preview.figures import Figures
from edge.media.source import Losses
from edge.pipeline import Result, Timings
from runtimes.errors import EdgeposeWarning, InputError, MissingDependencyError

TOKEN = "a-token-of-23-characters"  # noqa: S105 made up
TIMEOUT_S = 10
COCO = edge.load_schema("coco17")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch):
    monkeypatch.delenv("EDGEPOSE_TOKEN", raising=False)


def served(*args, **options) -> Preview:
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    return Preview(*args, **options)


def result(index: int, *, people: int = 1, shade: int = 90, source: int | str = 0) -> Result:
    xy = np.full((people, 17, 2), 20, np.float32) + np.arange(17, dtype=np.float32)[:, None]
    scores = np.full((people, 17), 0.9, np.float32)
    boxes = np.tile(np.float32([10, 10, 50, 40]), (people, 1))
    ids = np.arange(people, dtype=np.int32) + 7
    poses = edge.Poses(xy, scores, boxes, np.ones(people, np.float32), ids, COCO)
    image = np.full((48, 64, 3), shade, np.uint8)
    times = Timings(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    frame = edge.Frame(image, index, index / 30)
    return Result(
        frame, poses, ("tracked",) * people, detected=index == 0, timings=times, source=source
    )


def connect(preview: Preview) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", preview.address.port, timeout=TIMEOUT_S)


def get(preview: Preview, path: str, method: str = "GET", **headers: str):
    connection = connect(preview)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def state_of(preview: Preview) -> dict:
    return json.loads(get(preview, "/api/state")[1])


@pytest.fixture
def stream():
    """Opens streams of a preview, and closes them after the test."""
    with contextlib.ExitStack() as opened:

        def request(preview: Preview, path: str, **headers: str) -> http.client.HTTPResponse:
            connection = connect(preview)
            opened.callback(connection.close)
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            opened.callback(answer.close)
            return answer

        yield request


def ask(place: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(place, TIMEOUT_S) as connection:
        connection.sendall(request)
        return connection.recv(100)


def ours() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name.startswith("edgepose-preview")]


def test_state_has_people_ids_times_and_losses():
    with served(0, models=["pose-a", "detector-b"]) as preview:
        for index in range(3):
            preview.write(result(index, people=2), losses=Losses(unread=4, dropped=5, missing=6))
        state = state_of(preview)
        (source,) = state["sources"]
    assert state["models"] == ["pose-a", "detector-b"]
    assert (source["frames"], source["detections"]) == (3, 1)
    assert source["frame"]["index"] == 2
    assert [each["id"] for each in source["people"]] == [7, 8]
    assert source["people"][0]["state"] == "tracked"
    assert source["people"][0]["box"] == [10, 10, 50, 40]
    assert source["mean_ms"] == {
        "load": 1, "detect": 2, "transform": 3, "pose": 4, "post": 5, "latency": 2 + 3 + 4 + 5 + 6
    }  # fmt: skip
    assert source["lost"] == {"unread": 4, "dropped": 5, "missing": 6}
    assert "temperature" not in json.dumps(state)


def test_frame_is_the_newest_with_its_people_drawn():
    with served(0) as preview:
        preview.write(result(0, people=0, shade=10))
        preview.write(result(1, people=0, shade=200))
        answer, plain = get(preview, "/frame.jpg")
        number = answer.headers["X-Frame"]
        preview.write(result(2, people=1, shade=200))
        after, drawn = get(preview, f"/frame.jpg?after={number}")
    plain, drawn = (cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in (plain, drawn))
    assert plain.shape == (48, 64, 3)
    assert np.abs(plain.astype(int) - 200).max() < 8  # JPEG
    assert np.abs(drawn.astype(int) - 200).max() > 60
    assert int(after.headers["X-Frame"]) == int(number) + 1


def test_frame_before_the_first_is_not_found():
    with served(0) as preview:
        assert get(preview, "/frame.jpg?source=0")[0].status == 404


def test_page_is_self_contained_and_has_a_policy():
    with served(0) as preview:
        answer, body = get(preview, "/")
    page = body.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in page
    assert "http://" not in page
    assert "https://" not in page
    assert "src=" not in page.split("<body>")[1].split("<script")[0]


def test_stream_gives_pictures_and_ends_with_the_source(stream):
    with served(0) as preview:
        preview.write(result(0))
        answer = stream(preview, "/stream.mjpg")
        assert answer.headers["Content-Type"].startswith("multipart/x-mixed-replace; boundary=")
        boundary = answer.headers["Content-Type"].split("boundary=")[1].encode()
        assert answer.readline().strip() == b"--" + boundary
        assert answer.readline().strip() == b"Content-Type: image/jpeg"
        size = int(answer.readline().split(b":")[1])
        answer.readline()
        assert answer.read(size)[:2] == b"\xff\xd8"
        assert state_of(preview)["streams"] == 1
        preview.end("0")
        assert answer.read().endswith(b"--" + boundary + b"--\r\n")


def test_results_are_lines_and_events(stream):
    with served(0) as preview:
        preview.write(result(3), source="door")
        lines = stream(preview, "/api/results?source=door")
        events = stream(preview, "/api/results", Accept="text/event-stream")
        line = json.loads(lines.readline())
        event = events.readline()
        preview.end("door")
        assert lines.read() == b""
        assert b"event: ended" in events.read()
    assert (line["source"], line["frame"], line["people"][0]["id"]) == ("door", 3, 7)
    assert json.loads(event.removeprefix(b"data: ")) == line


def test_health_follows_the_frames():
    with served(0, stale_s=0.2) as preview:
        preview.write(result(0))
        assert get(preview, "/healthz")[0].status == 200
        time.sleep(0.3)
        answer, body = get(preview, "/healthz")
        assert (answer.status, json.loads(body)["status"]) == (503, "stale")
        preview.write(result(1))
        assert get(preview, "/healthz")[0].status == 200
        preview.end("0")
        assert json.loads(get(preview, "/healthz")[1]) == {"status": "ended"}


def test_metrics_are_what_prometheus_reads():
    parser = pytest.importorskip("prometheus_client.parser")
    name = 'a "quoted" \\ name\nof two lines'
    with served(0, models=["m"]) as preview:
        preview.write(result(0), source=name)
        preview.write(result(1, people=3), source=name, losses=Losses(unread=2))
        answer, body = get(preview, "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in parser.text_string_to_metric_families(body.decode())}
    values = {
        (
            each.name,
            each.labels.get("reason"),
            each.labels.get("stage"),
            each.labels.get("le"),
        ): each
        for family in families.values()
        for each in family.samples
    }
    assert values["edgepose_frames_total", None, None, None].value == 2
    assert values["edgepose_frames_total", None, None, None].labels == {"source": name}
    assert values["edgepose_people", None, None, None].value == 3
    assert values["edgepose_lost_frames_total", "unread", None, None].value == 2
    assert families["edgepose_stage_seconds"].type == "histogram"
    assert values["edgepose_stage_seconds_sum", None, "pose", None].value == pytest.approx(0.008)
    # 4 ms are above the bound of 2.5 ms, and below that of 5 ms
    assert values["edgepose_stage_seconds_bucket", None, "pose", "0.0025"].value == 0
    assert values["edgepose_stage_seconds_bucket", None, "pose", "0.005"].value == 2
    assert values["edgepose_stage_seconds_bucket", None, "pose", "+Inf"].value == 2
    assert values["edgepose_latency_seconds_count", None, None, None].value == 2


def test_sources_are_apart():
    with served(0) as preview:
        preview.write(result(0, people=1, source="a"))
        preview.write(result(0, people=2, source="b"))
        counts = {each["source"]: len(each["people"]) for each in state_of(preview)["sources"]}
        assert get(preview, "/frame.jpg?source=b")[0].status == 200
        assert get(preview, "/frame.jpg?source=c")[0].status == 404
    assert counts == {"a": 1, "b": 2}


PATHS = ("/", "/frame.jpg", "/stream.mjpg", "/api/state", "/api/results", "/healthz", "/metrics")


def test_token_is_needed_for_everything():
    with served("0.0.0.0:0", token=TOKEN) as preview:
        preview.write(result(0))
        for path in PATHS:
            assert get(preview, path)[0].status == 401, path
        for wrong in ("", "x" * 23, TOKEN[:-1], TOKEN + "x", "\u00e9"):
            headers = {"Authorization": f"Bearer {wrong}"}
            assert get(preview, "/api/state", **headers)[0].status == 401
        assert get(preview, "/api/state?token=wrong-wrong-wrong")[0].status == 401
        assert get(preview, "/api/state", Authorization=f"Bearer {TOKEN}")[0].status == 200
        assert get(preview, f"/api/state?token={TOKEN}")[0].status == 200


def test_page_trades_the_token_for_a_cookie():
    with served("0.0.0.0:0", token=TOKEN) as preview:
        answer, _ = get(preview, f"/?token={TOKEN}&source=a")
        cookie = answer.headers["Set-Cookie"]
        assert (answer.status, answer.headers["Location"]) == (303, "/?source=a")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert get(preview, "/", Cookie=cookie.split(";")[0])[0].status == 200
        assert get(preview, "/", Cookie=cookie.split(";")[0][:-1])[0].status == 401


def test_token_is_random_where_none_is_given(monkeypatch):
    with served("0.0.0.0:0") as one, served("0.0.0.0:0") as two:
        assert one.generated
        assert len(one.token or "") >= 32
        assert one.token != two.token
        assert one.token in one.url
    monkeypatch.setenv("EDGEPOSE_TOKEN", TOKEN)
    with served("0.0.0.0:0") as given:
        assert (given.token, given.generated) == (TOKEN, False)


@pytest.mark.parametrize("token", ["short", "has spaces in it", "semi;colon;semi;colon", "x" * 300])
def test_unusable_token_is_refused(token):
    with pytest.raises(InputError, match="a token has at least 12"):
        served(0, token=token)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("127.0.0.1.evil.example", 403),
        ("192.168.1.5", 403),
        ("", 403),
    ],
)
def test_foreign_host_names_are_refused_on_loopback(host, status):
    with served(0) as preview:
        assert get(preview, "/healthz", Host=host)[0].status == status


def test_other_origins_and_methods_get_nothing():
    with served(0) as preview:
        preview.write(result(0))
        answer, _ = get(preview, "/api/state", Origin="https://evil.example")
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert get(preview, "/api/state", "POST")[0].status == 405
        assert get(preview, "/../etc/passwd")[0].status == 404


def test_port_in_use_is_a_clear_error():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} of 127.0.0.1 is in use"):
            served(port)


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "65536", "1.2.3.4", "a b:80", "::1:80", "http://h:80"]
)
def test_unusable_address_is_refused(text):
    with pytest.raises(InputError, match="no address to serve on"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("8080", "127.0.0.1", 8080, True),
        ("localhost:80", "localhost", 80, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),  # noqa: S104 parsed, not bound
        ("[::1]:81", "::1", 81, True),
        ("[::]:81", "::", 81, False),
        ("board.local:81", "board.local", 81, False),
    ],
)
def test_addresses(text, host, port, loopback):
    address = parse_address(text)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)


def test_missing_server_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'edgepose\[serve\]'"):
        Preview(0)


def test_viewers_that_read_nothing_hold_up_neither_writes_nor_the_end(stream):
    big = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), np.uint8)
    with served(0) as preview:
        preview.write(Result(edge.Frame(big, 0, 0.0), edge.Poses.empty(COCO), (), True, Timings()))
        viewers = [stream(preview, "/stream.mjpg") for _ in range(3)]
        quick = stream(preview, "/api/results")
        for index in range(1, 25):
            frame = edge.Frame(big, index, index / 30)
            preview.write(Result(frame, edge.Poses.empty(COCO), (), False, Timings()))
            while json.loads(quick.readline())["frame"] < index - 1:  # newest only
                pass
            time.sleep(0.01)
        assert state_of(preview)["streams"] == 4
    assert ours() == []
    assert [each.read(3) for each in viewers] == [b"--e"] * 3  # they had been served


def test_connections_that_ask_for_nothing_are_closed(stream, monkeypatch):
    pytest.importorskip("uvicorn")
    impatient = functools.partial(close_silent, silent_s=0.2)
    monkeypatch.setattr("edge.media.preview.preview.close_silent", impatient)
    with served(0) as preview:
        preview.write(result(0))
        lines = stream(preview, "/api/results")
        silent = socket.create_connection(("127.0.0.1", preview.address.port), TIMEOUT_S)
        begun = socket.create_connection(("127.0.0.1", preview.address.port), TIMEOUT_S)
        begun.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow:")
        for connection in (silent, begun):
            with connection, contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        assert json.loads(lines.readline())["frame"] == 0
        preview.write(result(1))
        assert json.loads(lines.readline())["frame"] == 1


def test_what_the_server_refuses_is_a_warning(monkeypatch):
    """Of which the command line shows each text once."""
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "propagate", False)  # pytest listens
    with served(0) as preview:
        place = ("127.0.0.1", preview.address.port)
        with pytest.warns(EdgeposeWarning, match="preview: Invalid HTTP"):
            answers = [ask(place, b"no HTTP\r\n\r\n") for _ in range(3)]
    assert [answer.split()[1] for answer in answers] == [b"400"] * 3


def test_it_ends_without_threads_and_says_so():
    seen = []
    with served(0) as preview:
        preview.write(result(0))
        port = preview.address.port

        def watch() -> None:
            while not seen or not seen[-1]["ended"]:
                seen.append(json.loads(get(preview, "/api/state?page")[1]))
                time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        while not seen:
            time.sleep(0.01)
        assert ours()
    watcher.join(TIMEOUT_S)
    assert seen[-1]["ended"]
    assert ours() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    preview.write(result(1))  # after the end: nothing happens
    preview.close()


def test_rate_falls_once_frames_stop_and_history_is_bounded():
    figures = Figures()
    for index in range(3_000):
        figures.add(result(index), index / 10)
    now_s = 2_999 / 10
    assert figures.fps(now_s) == pytest.approx(10, rel=0.01)
    assert figures.fps(now_s + 2) < 8
    assert figures.fps(now_s + 10) == 0
    history = figures.history(now_s)
    assert len(history) == 180
    assert history[-2][1:] == (10, 20, 20)  # frames, mean and largest latency of a whole second


@pytest.mark.slow
def test_page_shows_it_in_a_browser(tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    with served(0, models=["pose-a"]) as preview, chromium(browser, tmp_path) as page:
        stop = threading.Event()

        def write() -> None:
            index = 0
            while not stop.wait(0.05):
                preview.write(result(index, people=2, shade=200))
                index += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            page.open(preview.url)
            for shown in ("pose-a", "live", "#7", "#8", "tracked", "4.0 ms", "64 \u00d7 48"):
                page.wait_for(f"document.body.innerText.includes({json.dumps(shown)})")
            page.wait_for("document.getElementById('picture').naturalWidth > 0")
            shot = page.screenshot()
        finally:
            stop.set()
            writer.join()
    picture = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    bright = (np.abs(picture.astype(int) - 200).max(axis=2) < 8).mean()
    assert bright > 0.25  # the frame is what the page shows most of
