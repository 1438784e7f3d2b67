"""Figures of docs/models.md: whether models load, their error against references, their artifacts' against PyTorch.

    python benchmarks/models_table.py                       # every family in the registry
    python benchmarks/models_table.py --family sapiens      # one; the figures of the others are kept
    python benchmarks/models_table.py --family vitpose --size l --runtime ncnn      # some cells; likewise
    python benchmarks/models_table.py --page                # measure nothing; rewrite the page

Every size is built on the meta device and recognised from its tensors. It is exported to every runtime for which this
takes at most MEMORY: with trained weights where ../shared has some, else with its reference's, else with random ones. A
process that exported one large model holds memory: run large ones in one process a runtime.
Writes docs/measured/models.json, and docs/models.md from it.
"""

import argparse
import copy
import platform
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch
from models_oracles import LoadedOracle, find_oracles
from models_page import PRECISIONS, RUNTIMES, Row, markdown

from devices.detect import detect_machine
from edge.catalog.lookup import CATALOG
from export import Exported, LoadedModel, Target, export_model
from export.checkpoint import with_input
from export.inputs import drawn_inputs
from export.limits import (
    EXPORT_COPIES,
    SINGLE_FILE_BYTES,
    SPLIT_COPIES,
    refuse_oversized,
    weight_bytes,
)
from export.random_weights import random_variant
from export.recognise import recognise
from export.registry import FAMILIES, Variant, load_family, variant_of
from runtimes.errors import InputError
from runtimes.spec import Runtime

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = 4
KEPT = Path("measured/models.json")
OBSTACLES = ("refused", "not measured")
MEMORY = 10e9  # bytes that an export may take, as estimated by export.limits
# These take half a minute an image and runtime at their own input size; weights are the same at any size.
INPUT_WH = {"sapiens": (192, 256), "openpose_body25": (256, 192), "rtmdet": (320, 320)}

Key = tuple[str, str]  # size, and the quantity of a dense model's map


@dataclass(frozen=True)
class Selection:
    """Cells to measure: sizes and tasks (None: all), and runtimes."""

    sizes: list[str] | None
    tasks: list[str] | None
    runtimes: list[Runtime]

    def holds(self, variant: Variant) -> bool:
        """Whether the variant's cells are selected."""
        size, task = key(variant)
        return (self.sizes is None or size in self.sizes) and (
            self.tasks is None or (task or "pose") in self.tasks
        )


def variants(family: str) -> list[Variant]:
    """Return one variant for each size and kind of output: the catalogue's first, then others of the family."""
    named = [variant_of(entry) for entry in CATALOG.values() if entry.family == family]
    first: dict[tuple[str, str], Variant] = {}
    known = (each for each in load_family(family).candidates() if each.family == family)
    for variant in (*named, *known):
        first.setdefault(key(variant), variant)
    return list(first.values())


def key(variant: Variant) -> Key:
    """Return the key of a row: the size, and the quantity of a dense model's map."""
    return variant.size, variant.dense or ""


def on_meta(variant: Variant) -> torch.nn.Module:
    """Return the network on the meta device, without memory for its weights."""
    with torch.device("meta"):
        module: torch.nn.Module = load_family(variant.family).build(variant)
    return module.eval()


def loads(variant: Variant) -> str:
    """Return the `loads` cell: recognised from its own tensors, with the number of parameters."""
    module = on_meta(variant)
    found, _ = recognise(Path("file"), module.state_dict())
    if key(found) != key(variant):
        raise SystemExit(f"{variant} is recognised as {found}")
    return f"yes, {sum(p.numel() for p in module.parameters()) / 1e6:.4g} M"


def measure(loaded: LoadedModel, runtimes: list[Runtime]) -> dict[str, float | str]:
    """Export to these runtimes in every precision; returns the raw error by "runtime precision", or a reason."""
    targets = [Target(runtime, precision) for runtime in runtimes for precision in PRECISIONS]
    cells: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as out:
        inputs = drawn_inputs(loaded.spec, SAMPLES)
        for made in export_model(loaded, targets, Path(out), inputs=inputs):
            cell = f"{made.target.runtime} {made.target.precision}"
            cells[cell] = cell_of(made)
            print(f"  {cell}: {cells[cell]} {made.error}", flush=True)
    return cells


def cell_of(made: Exported) -> float | str:
    """Return the raw error of one artifact; text where there is none, or where the gate refused it."""
    if made.error:
        return "does not convert"
    error = made.parity[0].raw_error
    if error is None:
        return "no raw outputs"
    return error if made.passed else f"{error:.1e}, refused by the gate"


def without(variant: Variant) -> dict[str, float | str]:
    """Return the cells that are not measured, with the reason: over the file size limit, or over MEMORY."""
    weights = weight_bytes(on_meta(variant))
    return {
        f"{runtime} {precision}": why
        for runtime in RUNTIMES
        for precision in PRECISIONS
        if (why := obstacle(weights, runtime))
    }


def obstacle(weights: int, runtime: Runtime) -> str:
    """Return the reason why so many bytes of weights are not exported to a runtime here; "" where there is none."""
    try:
        refuse_oversized("", weights, [runtime], None)
    except InputError:
        return f"{OBSTACLES[0]}: over 2 GB"
    copies = SPLIT_COPIES if weights > SINGLE_FILE_BYTES else EXPORT_COPIES
    needed = weights * copies[runtime]
    return f"{OBSTACLES[1]}: needs {needed / 1e9:.0f} GB" if needed > MEMORY else ""


def known_of(family: str, found: list[LoadedOracle]) -> dict[Key, Variant]:
    """Return every size and kind of map: the catalogue's and the family's, then those of references only."""
    known = {key(variant): variant for variant in variants(family)}
    for item in found:
        known.setdefault(key(item.loaded.variant), item.loaded.variant)
    return known


def rows_of(family: str, found: list[LoadedOracle], before: list[Row]) -> dict[Key, Row]:
    """Return one row for each size and kind of map: whether it loads, errors against references, earlier figures."""
    old = {(row.size, row.task): row for row in before}
    table = {}
    for name, variant in known_of(family, found).items():
        row = old.get(name) or Row(family, *name, "")
        row.loads = loads(variant)
        row.cells = without(variant) | {
            cell: value for cell, value in row.cells.items() if not str(value).startswith(OBSTACLES)
        }
        table[name] = row
    for row in before:
        table.setdefault((row.size, row.task), row)
    for item in found:
        name = item.oracle.name + (f" ({item.oracle.task})" if item.oracle.task else "")
        table[key(item.loaded.variant)].oracle[name] = item.error
        print(f"{family}-{item.loaded.size}: {name} {item.error:.1e}", flush=True)
    return table


def fill(row: Row, variant: Variant, found: list[LoadedOracle], runtimes: list[Runtime]) -> None:
    """Measure the row's cells for these runtimes, except those that `without` filled."""
    able = [runtime for runtime in runtimes if f"{runtime} fp32" not in without(variant)]
    if able:
        loaded, row.weights = to_measure(variant, found)
        print(f"{variant.family}-{variant.size}, {row.weights} weights", flush=True)
        row.cells |= measure(loaded, able)


def to_measure(variant: Variant, found: list[LoadedOracle]) -> tuple[LoadedModel, str]:
    """Return the model to export and the origin of its weights: trained, else a reference's, else random."""
    same = [item for item in found if key(item.loaded.variant) == key(variant)]
    trained = [item.loaded for item in same if item.oracle.weights]
    if trained:
        return trained[0], "trained"
    if same:
        return perturbed(same[0].loaded), "reference"
    made = random_variant(variant)
    if variant.family not in INPUT_WH:
        return made, "random"
    width, height = INPUT_WH[variant.family]
    return with_input(made, (width, height)), f"random, at {height}x{width}"


def perturbed(loaded: LoadedModel) -> LoadedModel:
    """Return the model with weights changed by up to 1e-3 of themselves.

    The references' weights are exact in float16, so that an fp16 file would store them without loss.
    """
    generator = torch.Generator().manual_seed(0)
    module = copy.deepcopy(loaded.module)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.rand(parameter.shape, generator=generator) * 2 - 1
            parameter.mul_(1 + 1e-3 * noise)
    return replace(loaded, module=module)


def main() -> None:
    """Measure the selection, keep the rest, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(FAMILIES))
    parser.add_argument("--size", action="append", help="as in the table")
    parser.add_argument("--task", action="append", help="pose, segment, depth or normal")
    parser.add_argument("--runtime", action="append", choices=list(RUNTIMES))
    parser.add_argument("--page", action="store_true", help="measure nothing; rewrite the page")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    args = parser.parse_args()
    by_family: dict[str, list[Row]] = {}
    if (kept := args.out / KEPT).exists():
        for row in msgspec.json.decode(kept.read_bytes(), type=list[Row]):
            by_family.setdefault(row.family, []).append(row)
    selection = Selection(args.size, args.task, args.runtime or list(RUNTIMES))
    for family in args.family or FAMILIES:
        found: list[LoadedOracle] = []
        if args.shared.is_dir() and not args.page:
            with tempfile.TemporaryDirectory() as scratch:
                found = list(find_oracles(args.shared, family, Path(scratch)))
        table = rows_of(family, found, by_family.get(family, []))
        by_family[family] = list(table.values())
        for name, variant in known_of(family, found).items():
            if selection.holds(variant) and not args.page:
                fill(table[name], variant, found, selection.runtimes)
                save(by_family, args.out)
    save(by_family, args.out)


def save(by_family: dict[str, list[Row]], out: Path) -> None:
    """Write the figures, and the page made from them."""
    machine = detect_machine()
    where = (
        f"{SAMPLES} drawn people, {machine.cpu_model or machine.arch} ({' '.join(machine.isa)}), "
        f"Python {platform.python_version()}, torch {torch.__version__}."
    )
    rows = [row for name in FAMILIES for row in by_family.get(name, [])]
    (out / KEPT).parent.mkdir(parents=True, exist_ok=True)
    (out / KEPT).write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n")
    (out / "models.md").write_text(markdown(rows, where, (out / KEPT).parent))


if __name__ == "__main__":
    main()
