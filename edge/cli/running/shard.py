"""A share of the work: `--shard I/N` takes the same sources on every machine, whatever the others do."""

import hashlib
import re
from dataclasses import dataclass

from runtimes.errors import InputError

_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Shard:
    """Number `index` (from 1) of `count` shares.

    A source's share follows from its name alone (SHA-256 modulo count), so that files added later move no other.
    """

    index: int
    count: int

    def has(self, name: str) -> bool:
        """Return whether the source of this name belongs to the shard."""
        digest = hashlib.sha256(name.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1


ALL = Shard(1, 1)


def parse_shard(text: str) -> Shard:
    """Parse I/N, 1 <= I <= N; raises InputError for anything else."""
    found = _SHARD.fullmatch(text)
    if not found or int(found[1]) > int(found[2]):
        raise InputError(f"--shard wants I/N with I from 1 to N, such as 2/8, not {text!r}")
    return Shard(int(found[1]), int(found[2]))
