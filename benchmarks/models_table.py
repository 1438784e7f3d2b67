"""docs/models.md: which models load, how near each is to its reference, and how near its artifacts are to PyTorch.

    python benchmarks/models_table.py                       # every family in the registry
    python benchmarks/models_table.py --family sapiens      # one; the others' figures are kept from the last run
    python benchmarks/models_table.py --family vitpose --size b     # one size; likewise

Every size is built on the meta device and recognised again from its tensors. Sizes up to LARGEST_BYTES are exported to
every runtime, with trained weights where ../shared has some, else with random ones; a family without such a size shows
its smallest reference instead.
Writes docs/measured/models.json, and docs/models.md from it.
"""

import argparse
import copy
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import torch
from models_oracles import Found, find_oracles
from models_page import PRECISIONS, RUNTIMES, Row, markdown

from devices.detect import detect_machine
from edge.catalog import CATALOG
from export import Exported, LoadedModel, Target, export_model
from export.checkpoint import recognise
from export.inputs import drawn_inputs
from export.limits import refuse_oversized, weight_bytes
from export.random_weights import random_model
from export.registry import FAMILIES, Variant, load_family, model_name, variant_of
from runtimes.errors import InputError
from runtimes.spec import Runtime

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = 4
# Converting takes six times the weights in memory, and minutes a gigabyte.
LARGEST_BYTES = 400 << 20


def variants(family: str) -> list[Variant]:
    """One variant a size and kind of output: the catalogue's first, then what the family knows beyond."""
    named = [variant_of(entry) for entry in CATALOG.values() if entry.family == family]
    first: dict[tuple[str, str], Variant] = {}
    for variant in (*named, *load_family(family).candidates()):
        first.setdefault(key(variant), variant)
    return list(first.values())


def key(variant: Variant) -> tuple[str, str]:
    """What makes a row: the size, and what a dense model's map says."""
    return variant.size, variant.dense or ""


def on_meta(variant: Variant) -> torch.nn.Module:
    """The network without memory for its weights."""
    with torch.device("meta"):
        module: torch.nn.Module = load_family(variant.family).build(variant)
    return module.eval()


def loads(variant: Variant) -> str:
    """Whether the network is known again by its own tensors, and its size."""
    module = on_meta(variant)
    found, _ = recognise(Path("file"), module.state_dict())
    if key(found) != key(variant):
        raise SystemExit(f"{variant} is taken for {found}")
    return f"yes, {sum(p.numel() for p in module.parameters()) / 1e6:.4g} M"


def measure(loaded: LoadedModel) -> dict[str, float | str]:
    """Export to every runtime and precision; the raw error by "runtime precision", or why there is none."""
    targets = [Target(runtime, precision) for runtime in RUNTIMES for precision in PRECISIONS]
    cells: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as out:
        inputs = drawn_inputs(loaded.spec, SAMPLES)
        for made in export_model(loaded, targets, Path(out), inputs=inputs):
            cell = f"{made.target.runtime} {made.target.precision}"
            cells[cell] = cell_of(made)
            print(f"  {cell}: {cells[cell]} {made.error}", flush=True)
    return cells


def cell_of(made: Exported) -> float | str:
    """The raw error of one artifact; in words where there is none, or where the gate refused it."""
    if made.error:
        return "does not convert"
    error = made.parity[0].raw_error
    if error is None:
        return "no raw outputs"
    return error if made.passed else f"{error:.1e} refused"


def refused(variant: Variant) -> dict[str, float | str]:
    """The cells that are refused before any work, for the size of the weights."""
    weights = weight_bytes(on_meta(variant))
    return {
        f"{runtime} {precision}": "refused: over 2 GB"
        for runtime in RUNTIMES
        for precision in PRECISIONS
        if not fits(weights, runtime)
    }


def fits(weights: int, runtime: Runtime) -> bool:
    """Whether a model of so many bytes is taken at all, whatever the machine."""
    try:
        refuse_oversized("", weights, [runtime], None)
    except InputError:
        return False
    return True


def rows_of(family: str, shared: Path, sizes: list[str] | None, before: list[Row]) -> list[Row]:
    """Measure one family, or these sizes of it; the other sizes keep the cells they had `before`."""
    known = variants(family)
    table = {
        key(variant): Row(
            family,
            variant.size,
            variant.dense or "",
            loads(variant),
            cells=refused(variant),
        )
        for variant in known
    }
    with tempfile.TemporaryDirectory() as scratch:
        found = list(find_oracles(shared, family, Path(scratch))) if shared.is_dir() else []
    for item in found:
        variant = item.loaded.variant
        row = table.setdefault(
            key(variant), Row(family, variant.size, variant.dense or "", loads(variant))
        )
        name = item.oracle.name + (f" ({item.oracle.task})" if item.oracle.task else "")
        row.oracle[name] = item.error
        print(f"{family}-{variant.size}: {name} {item.error:.1e}", flush=True)
    for old in before:
        if old.weights and (old.size, old.task) in table:
            row = table[old.size, old.task]
            row.cells, row.weights = row.cells | old.cells, old.weights
    for loaded, weights in to_measure(known, found, sizes):
        row = table[key(loaded.variant)]
        print(f"{family}-{loaded.size}, {weights} weights", flush=True)
        row.cells = measure(loaded)
        row.weights = weights
    return list(table.values())


def to_measure(
    known: list[Variant], found: list[Found], sizes: list[str] | None
) -> Iterator[tuple[LoadedModel, str]]:
    """What is exported: trained weights where there are some, else random ones, of every size that is not too large."""
    trained = {key(item.loaded.variant): item.loaded for item in found if item.oracle.weights}
    chosen = [
        variant
        for variant in known
        if (sizes is None or variant.size in sizes)
        and model_name(variant) in CATALOG
        and weight_bytes(on_meta(variant)) <= LARGEST_BYTES
    ]
    for variant in chosen:
        if key(variant) in trained:
            yield trained[key(variant)], "trained"
        else:
            yield random_model(model_name(variant)), "random"
    if found and not chosen:
        yield shaken(found[0].loaded), "reference"


def shaken(loaded: LoadedModel) -> LoadedModel:
    """The model with weights moved by up to 1e-3 of themselves.

    The references' weights are numbers of half precision, which a file in half precision would hold without loss.
    """
    generator = torch.Generator().manual_seed(0)
    module = copy.deepcopy(loaded.module)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
            parameter.mul_(1 + 1e-3 * noise)
    return replace(loaded, module=module)


def main() -> None:
    """Measure what is asked for, keep the rest, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--size", action="append")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    args = parser.parse_args()
    kept = args.out / "measured" / "models.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    by_family: dict[str, list[Row]] = {}
    if kept.exists():
        for row in msgspec.json.decode(kept.read_bytes(), type=list[Row]):
            by_family.setdefault(row.family, []).append(row)
    machine = detect_machine()
    where = (
        f"{SAMPLES} drawn people, {machine.cpu_model or machine.arch} ({' '.join(machine.isa)}), "
        f"Python {platform.python_version()}, torch {torch.__version__}."
    )
    for family in args.family or FAMILIES:
        before = by_family.get(family, [])
        by_family[family] = rows_of(family, args.shared, args.size, before)
        rows = [row for name in FAMILIES for row in by_family.get(name, [])]
        kept.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
        (args.out / "models.md").write_text(markdown(rows, where))


if __name__ == "__main__":
    main()
