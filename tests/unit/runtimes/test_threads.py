"""Thread counts: affinity, and cgroup quotas of both versions, as the kernel documents their files."""

import os
import sys
from pathlib import Path

import pytest

from runtimes.threads import (
    allowed_cores,
    cgroup_paths,
    cores_within,
    cpu_quota,
    read_text,
    resolve_threads,
)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_threads_are_as_asked_or_at_most_four() -> None:
    assert resolve_threads(7) == 7
    assert resolve_threads(None) == min(4, allowed_cores())


@pytest.mark.skipif(sys.platform != "linux", reason="affinity masks are Linux's")
def test_affinity_limits_the_cores() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert allowed_cores() == 1
        assert resolve_threads(None) == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("cores", "quota", "left"),
    [(8, 2.5, 2), (8, 2.99, 2), (8, 3.0, 3), (8, 0.5, 1), (8, 0.0, 1), (2, 7.9, 2), (8, None, 8)],
)
def test_a_quota_is_rounded_down_and_leaves_one(cores, quota, left) -> None:
    assert cores_within(cores, quota) == left


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000", None),
        ("150000 100000", 1.5),
        ("50000 100000\n", 0.5),
        ("", None),
        ("x", None),
    ],
)
def test_cgroup_version_2(tmp_path, text, quota) -> None:
    write(tmp_path / "membership", "0::/app\n")
    write(tmp_path / "mount/app/cpu.max", text)
    assert cpu_quota(tmp_path / "membership", tmp_path / "mount") == quota


def test_the_tightest_parent_counts(tmp_path) -> None:
    write(tmp_path / "membership", "0::/slice/app\n")
    write(tmp_path / "mount/cpu.max", "800000 100000")
    write(tmp_path / "mount/slice/cpu.max", "200000 100000")
    write(tmp_path / "mount/slice/app/cpu.max", "max 100000")
    assert cpu_quota(tmp_path / "membership", tmp_path / "mount") == 2


@pytest.mark.parametrize(("quota", "cores"), [("250000", 2.5), ("-1", None)])
def test_cgroup_version_1_in_a_container_that_names_the_hosts_path(tmp_path, quota, cores) -> None:
    write(tmp_path / "membership", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n")
    write(tmp_path / "mount/cpu/cpu.cfs_quota_us", quota)
    write(tmp_path / "mount/cpu/cpu.cfs_period_us", "100000")
    assert cpu_quota(tmp_path / "membership", tmp_path / "mount") == cores


def test_nothing_to_read_is_no_limit(tmp_path) -> None:
    assert cpu_quota(tmp_path / "membership", tmp_path / "mount") is None
    assert read_text(tmp_path) == ""
    assert read_text(tmp_path / "absent") == ""


def test_a_path_never_climbs_out_of_the_mount(tmp_path) -> None:
    write(tmp_path / "membership", "0::/../../secret\n")
    paths = cgroup_paths(tmp_path / "membership", tmp_path / "mount", "cpu")
    assert paths == [tmp_path / "mount/secret", tmp_path / "mount"]
