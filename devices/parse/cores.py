"""CPU core types: ARM's by implementer and part of /proc/cpuinfo (MIDR), and what each computes a cycle."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["prime", "big", "little"]


@dataclass(frozen=True, slots=True)
class CoreType:
    """A core: role among the cores it is built with; operations a cycle (a multiply-add counts two), None: no unit.

    fp16 and int8 are of the fastest instructions the core has. source: keys of `sources` in profiles.json.
    """

    name: str
    role: Role
    fp32: int | None = None
    fp16: int | None = None
    int8: int | None = None
    source: tuple[str, ...] = ("midr",)


# MIDR as `implementer/part`, with two and three hexadecimal digits; a core may have several, vendors' variants.
ARM_CORES: dict[str, CoreType] = {
    "0x41/0xd03": CoreType("Cortex-A53", "little", 8, None, None, ("midr", "cpufp")),
    "0x41/0xd04": CoreType("Cortex-A35", "little"),
    "0x41/0xd05": CoreType("Cortex-A55", "little", 8, 16, 32, ("midr", "cpufp")),
    "0x41/0xd07": CoreType("Cortex-A57", "big", 8, None, None, ("midr", "vfp")),
    "0x41/0xd08": CoreType("Cortex-A72", "big", 8, None, None, ("midr", "cpufp")),
    "0x41/0xd09": CoreType("Cortex-A73", "big"),
    "0x41/0xd0a": CoreType("Cortex-A75", "big"),
    "0x41/0xd0b": CoreType("Cortex-A76", "big", 16, 32, 64, ("midr", "cpufp")),
    "0x41/0xd0c": CoreType("Neoverse-N1", "big"),
    "0x41/0xd0d": CoreType("Cortex-A77", "big", 16, 32, 64, ("midr", "K")),
    "0x41/0xd40": CoreType("Neoverse-V1", "big"),
    "0x41/0xd41": CoreType("Cortex-A78", "big", 16, 32, 64, ("midr", "vfp")),
    "0x41/0xd42": CoreType("Cortex-A78AE", "big", 16, 32, 64, ("midr", "K")),
    "0x41/0xd44": CoreType("Cortex-X1", "prime", 32, 64, 128, ("midr", "K")),
    "0x41/0xd46": CoreType("Cortex-A510", "little", 8, 16, 64, ("midr", "vfp")),
    "0x41/0xd47": CoreType("Cortex-A710", "big", 16, 32, 128, ("midr", "K")),
    "0x41/0xd48": CoreType("Cortex-X2", "prime", 32, 64, 256, ("midr", "K")),
    "0x41/0xd49": CoreType("Neoverse-N2", "big"),
    "0x41/0xd4b": CoreType("Cortex-A78C", "big"),
    "0x41/0xd4c": CoreType("Cortex-X1C", "prime"),
    "0x41/0xd4d": CoreType("Cortex-A715", "big", 16, 32, 128, ("midr", "K")),
    "0x41/0xd4e": CoreType("Cortex-X3", "prime", 32, 64, 256, ("midr", "K")),
    "0x41/0xd4f": CoreType("Neoverse-V2", "big"),
    "0x41/0xd80": CoreType("Cortex-A520", "little", 8, 16, 64, ("midr", "vfp")),
    "0x41/0xd81": CoreType("Cortex-A720", "big", 16, 32, 128, ("midr", "cpufp")),
    "0x41/0xd82": CoreType("Cortex-X4", "prime", 32, 64, 256, ("midr", "vfp")),
    "0x41/0xd83": CoreType("Neoverse-V3AE", "big", 32, 64, 256, ("v3ae", "K")),
    "0x4e/0x003": CoreType("Denver 2", "big"),
    "0x4e/0x004": CoreType("Carmel", "big", 16, 32, None, ("midr", "K")),
    "0x51/0x001": CoreType("Oryon", "big", 32, 64, 128, ("midr", "cpufp")),
    "0x51/0x002": CoreType("Oryon v3", "big", None, None, None, ("socs",)),
    "0x51/0x802": CoreType("Kryo Gold (Cortex-A75)", "big"),
    "0x51/0x803": CoreType("Kryo Silver (Cortex-A55)", "little", 8, 16, 32, ("midr", "cpufp")),
    "0x51/0x804": CoreType("Kryo Gold (Cortex-A76)", "big", 16, 32, 64, ("midr", "cpufp")),
    "0x51/0x805": CoreType("Kryo Silver (Cortex-A55)", "little", 8, 16, 32, ("midr", "cpufp")),
}
# x86 cores of the profiles, which /proc/cpuinfo does not name.
X86_CORES: tuple[CoreType, ...] = (
    CoreType("Rocket Lake", "big", 32, None, 128, ("K", "cpufp")),
    CoreType("Sunny Cove server", "big", 64, None, 256, ("K",)),
    CoreType("Golden Cove server", "big", 64, 128, 2048, ("cpufp",)),
    CoreType("Redwood Cove", "big", 32, None, 128, ("cpufp",)),
    CoreType("Lion Cove", "big", 32, None, 128, ("cpufp",)),
    CoreType("Skymont", "little", 32, None, 128, ("cpufp",)),
    CoreType("Gracemont", "little", 16, None, 32, ("cpufp", "vfp")),
    CoreType("Zen 5 server", "big", 64, None, 256, ("cpufp",)),
)
CORES: dict[str, CoreType] = {each.name: each for each in (*ARM_CORES.values(), *X86_CORES)}
