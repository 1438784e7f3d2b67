"""Run `edgepose run --shard I/N` on a Ray cluster, a shard a task: python benchmarks/ray_shards.py -- VIDEOS --pose ...

Every node needs edgepose, the artifacts and the videos at the same paths, and one directory for the results that all
share. A task whose node dies is repeated on another one, and finished files are skipped there. Needs
`pip install 'edgepose[ray]'`; docs/scale-out.md has the whole recipe.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import ray

from runtimes.errors import InputError

# Of a task whose node or process died; a file that cannot be read is no reason to repeat a shard.
_RETRIES = 3


def command_of(arguments: Sequence[str], shard: int, shards: int, cpus: int) -> list[str]:
    """Return the command that runs one shard, with as many threads as Ray reserves cores."""
    share = ["--shard", f"{shard}/{shards}", "--threads", str(cpus), "--json"]
    return [sys.executable, "-m", "edgepose", "run", *arguments, *share]


def run_command(command: Sequence[str]) -> tuple[int, str, str]:
    """Run a command and return its exit code, stdout and stderr; raises RuntimeError where a signal killed it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        message = f"killed by signal {-done.returncode}: {' '.join(command)}"
        raise RuntimeError(message)  # Ray repeats the task
    return done.returncode, done.stdout, done.stderr


def run_shards(arguments: Sequence[str], shards: int, cpus: int) -> list[dict[str, Any]]:
    """Run all shards and return one row a source; prints each shard's messages as it ends.

    Raises InputError for a shard that could not begin, such as one with a wrong option.
    """
    task = ray.remote(num_cpus=cpus, max_retries=_RETRIES, retry_exceptions=True)(run_command)
    waiting = {
        task.remote(command_of(arguments, shard, shards, cpus)): shard
        for shard in range(1, shards + 1)
    }
    rows = []
    while waiting:
        (ready,), _ = ray.wait(list(waiting), num_returns=1)
        shard = waiting.pop(ready)
        code, out, err = ray.get(ready)
        print(f"shard {shard}/{shards} ended with {code}", err, sep="\n", file=sys.stderr)
        if not out:
            message = f"shard {shard}/{shards} did not run: {err.strip()}"
            raise InputError(message)
        rows += json.loads(out)["sources"]
    return sorted(rows, key=lambda row: row["source"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run all shards, print the counts, and return 0, or 2 where a source failed."""
    parser = argparse.ArgumentParser(
        description="Run the shards of `edgepose run` on a Ray cluster."
    )
    parser.add_argument(
        "--address", help="of a running cluster; default: a cluster on this machine"
    )
    parser.add_argument("--shards", type=int, default=64, help="several times the machines")
    parser.add_argument("--cpus", type=int, default=2, help="cores a shard")
    parser.add_argument("arguments", nargs="+", help="of edgepose run, after --")
    asked = parser.parse_args(argv)
    ray.init(address=asked.address, log_to_driver=False)
    try:
        rows = run_shards(asked.arguments, asked.shards, asked.cpus)
    finally:
        ray.shutdown()
    failed = [row for row in rows if row["status"] == "failed"]
    for row in failed:
        print(f"{row['source']}: {row['error']}")
    frames = sum(row["frames"] for row in rows)
    print(f"{len(rows)} sources, {len(failed)} failed, {frames} frames run")
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
