"""Shares of the work: every source belongs to one shard, by its name alone."""

import hashlib

import pytest

from edge.cli.running.shard import Shard, parse_shard
from runtimes.errors import InputError

NAMES = [f"day{day}/clip{clip}.mp4" for day in range(40) for clip in range(25)]


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_every_source_is_of_exactly_one_shard(count: int) -> None:
    shards = [Shard(index, count) for index in range(1, count + 1)]
    assert all(sum(shard.has(name) for shard in shards) == 1 for name in NAMES)


def test_shards_are_of_similar_size() -> None:
    """Of 1000 names on 8 shards: 125 expected, standard deviation (n p (1 - p))^.5 = 10.5; five of these."""
    sizes = [sum(Shard(index, 8).has(name) for name in NAMES) for index in range(1, 9)]
    assert max(abs(size - 125) for size in sizes) < 5 * 10.5


def test_the_share_is_sha256_modulo_the_count() -> None:
    number = int(hashlib.sha256(b"a.mp4").hexdigest()[:16], 16)
    assert Shard(number % 5 + 1, 5).has("a.mp4")


def test_a_shard_is_parsed() -> None:
    assert parse_shard("2/8") == Shard(2, 8)
    assert parse_shard("1/1") == Shard(1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "3/2",
        "0/2",
        "1/0",
        "1",
        "",
        "a/b",
        "-1/2",
        "1/2/3",
        "1.5/2",
        " 1/2",
        "1/2\n",
        "01/2",
        chr(0xFF11) + "/2",
    ],
)
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--shard wants I/N with I from 1 to N"):
        parse_shard(text)
