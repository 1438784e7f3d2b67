"""The Ray recipe on a local cluster of two nodes: the shards together write what one process writes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("ray") is None, reason="ray is not installed; run: pip install 'edgepose[ray]'"
    ),
]
ROOT = Path(__file__).resolve().parents[2]
# Two nodes of one core beside a head without any, so that the shards really run on two.
CLUSTER = """
import sys
import ray
from ray.cluster_utils import Cluster
import ray_shards
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
for _ in range(2):
    cluster.add_node(num_cpus=1)
try:
    code = ray_shards.main(["--address", cluster.address, *sys.argv[1:]])
finally:
    cluster.shutdown()
sys.exit(code)
"""


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_on_a_cluster_write_what_one_process_writes(
    edgepose, pose, clip, tmp_path, videos
) -> None:
    capture = cv2.VideoCapture(str(clip))
    frames = [cv2.resize(capture.read()[1], (320, 180)) for _ in range(6)]
    (tmp_path / "clips").mkdir()
    for number in range(5):
        videos(tmp_path / "clips" / f"{number}.mp4", frames[number % 3 :])
    (tmp_path / "clips/broken.mp4").write_bytes(bytes(100))
    run = (tmp_path / "clips", "--pose", pose.path)
    whole = tmp_path / "whole"
    alone = edgepose("run", *run, "--save-jsonl", whole, "--save-csv", whole)
    assert alone.code == 2
    shared = tmp_path / "shared"
    asked = map(str, (*run, "--save-jsonl", shared, "--save-csv", shared))
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, "--shards", "4", "--cpus", "1", "--", *asked],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
            ),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1] == "6 sources, 1 failed, 26 frames run"
    assert "broken.mp4" in done.stdout
    assert files_of(shared) == files_of(whole)
    lines = (shared / "0.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(6))
