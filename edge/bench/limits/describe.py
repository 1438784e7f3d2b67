"""Limits of a machine as a table."""

from edge.bench.limits.record import Limits

HEADER = ("limit", "threads", "at most", "cpu/wall", "by")


def limit_cells(limits: Limits) -> list[list[str]]:
    """Return a line for each figure, in the order of HEADER: rates of arithmetic, then reading of memory."""
    rates = [
        [
            each.kind,
            str(each.threads),
            f"{each.macs_per_s / 1e9:.1f} GMAC/s",
            f"{each.cpu_wall:.2f}",
            each.by,
        ]
        for each in sorted(limits.rates, key=lambda each: (each.kind, each.threads))
    ]
    reads = [
        [
            "memory",
            str(each.threads),
            f"{each.bytes_per_s / 1e9:.1f} GB/s",
            f"{each.cpu_wall:.2f}",
            f"numpy, reading {each.set_bytes >> 20} MiB again and again",
        ]
        for each in sorted(limits.bandwidths, key=lambda each: (each.threads, each.set_bytes))
    ]
    return [*rates, *reads]
