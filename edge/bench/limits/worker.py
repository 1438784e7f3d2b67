"""Program that measures with numpy: products of matrices, and reading of memory; one line of JSON on stdout.

It runs here and on boards, where nothing of edgepose is: syntax and standard library of Python 3.6, numpy 1.13. Started
with a `Job` (`edge.bench.limits.job`) as JSON, it answers with `Found`. The threads of numpy's BLAS are in the
environment, which a BLAS reads when it loads.
"""

import json
import sys
import threading
import time

import numpy as np

WINDOW_S = 0.02  # reads of a set are timed together over at least so long
FLOAT_BYTES = 4
SHORTEST_S = 1e-9  # of a clock's step


def main():
    """Do the job of the first argument."""
    job = json.loads(sys.argv[1])
    threads, seconds = job["threads"], job["seconds"]
    found = {
        "numpy": np.__version__,
        "product": multiply(job["side"], threads, seconds),
        "reads": [read(each, threads, seconds) for each in job["set_bytes"]],
    }
    sys.stdout.write(json.dumps(found) + "\n")


def multiply(side, threads, seconds):
    """Return the rate of float32 products of square matrices; `threads` are those that the BLAS has."""
    rng = np.random.RandomState(0)
    a, b = (rng.random_sample((side, side)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    return best(lambda: np.matmul(a, b, out=out), side**3, threads, seconds)


def read(count, threads, seconds):
    """Return the rate at which `threads` read `count` bytes of their own again and again, by sums of squares."""
    shares = [np.ones(max(1, count // FLOAT_BYTES // threads), np.float32) for _ in range(threads)]
    once = timed(lambda: sum_squares(shares[0], 1))
    turns = max(1, int(round(WINDOW_S / once)))
    total = turns * FLOAT_BYTES * sum(map(len, shares))
    return best(lambda: at_once(shares, turns), total, threads, seconds)


def at_once(shares, turns):
    """Read all shares, each in a thread of its own."""
    helpers = [
        threading.Thread(target=sum_squares, args=(share, turns), daemon=True)
        for share in shares[1:]
    ]
    for helper in helpers:
        helper.start()
    sum_squares(shares[0], turns)
    for helper in helpers:
        helper.join()


def sum_squares(share, turns):
    """Read a share `turns` times."""
    for _ in range(turns):
        np.dot(share, share)  # without the interpreter's lock


def timed(work):
    """Return the seconds that `work` takes, after once for the caches."""
    work()
    start = time.perf_counter()
    work()
    return max(time.perf_counter() - start, SHORTEST_S)


def best(work, units, threads, seconds):
    """Repeat `work` for `seconds`, after once for the caches; of each repetition that many units."""
    work()
    fastest = float("inf")
    cpu, begin = time.process_time(), time.perf_counter()
    now = begin
    while now < begin + seconds or now == begin:
        start = now
        work()
        now = time.perf_counter()
        fastest = min(fastest, max(now - start, SHORTEST_S))
    cpu_wall = (time.process_time() - cpu) / (max(now - begin, SHORTEST_S) * threads)
    return {"per_s": units / fastest, "cpu_wall": cpu_wall}


if __name__ == "__main__":
    main()
