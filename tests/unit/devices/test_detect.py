"""Machine facts from /proc and /sys texts as boards really show them, and from machines that show nothing."""

from pathlib import Path

import pytest

from devices.detect import cpu_model, detect_machine, isa_flags, memory_bytes

# Raspberry Pi 5, two of its four cores
PI5 = """processor	: 0
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1

processor	: 1
BogoMIPS	: 108.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x4
CPU part	: 0xd0b
CPU revision	: 1

Model		: Raspberry Pi 5 Model B Rev 1.0
"""
# a big.LITTLE phone whose little core lacks what the big one has
MIXED = """Features	: fp asimd asimdhp asimddp i8mm
CPU implementer	: 0x41
CPU part	: 0xd05
Features	: fp asimd asimdhp asimddp i8mm bf16
CPU implementer	: 0x51
CPU part	: 0xfff
Hardware	: Qualcomm Technologies, Inc SM8550
"""
XEON = """processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Xeon(R) Platinum 8480+
flags		: fpu sse avx f16c fma avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8 avx_vnni
"""


def test_a_raspberry_pi() -> None:
    assert cpu_model(PI5, "Raspberry Pi 5 Model B Rev 1.0") == (
        "Raspberry Pi 5 Model B Rev 1.0 (2x Cortex-A76)"
    )
    assert isa_flags(PI5) == ("asimd", "fphp", "asimdhp", "asimddp")


def test_unknown_cores_are_named_by_number_and_flags_are_what_all_cores_have() -> None:
    assert cpu_model(MIXED, "") == (
        "Qualcomm Technologies, Inc SM8550 (1x Cortex-A55 + 1x 0x51/0xfff)"
    )
    assert isa_flags(MIXED) == ("asimd", "asimdhp", "asimddp", "i8mm")


def test_an_x86_server() -> None:
    assert cpu_model(XEON, "") == "Intel(R) Xeon(R) Platinum 8480+"
    flags = isa_flags(XEON)
    assert {"avx2", "avx512_vnni", "avx512_bf16", "amx_int8"} <= set(flags)
    assert not {"sse", "asimd", "avx512_fp16"} & set(flags)


@pytest.mark.parametrize("text", ["", "garbage", "CPU part\t: 0xd0b\n", "flags\t:\n", ":::\n\0\0"])
def test_odd_texts_are_survived(text) -> None:
    assert isinstance(cpu_model(text, ""), str)
    assert isa_flags(text) == ()


def test_memory_is_what_the_cgroup_leaves(tmp_path) -> None:
    assert memory_bytes(tmp_path) is None
    for name, text in {
        "proc/meminfo": "MemTotal:        8000 kB\nMemFree:  1 kB\n",
        "proc/self/cgroup": "0::/app\n",
        "sys/fs/cgroup/app/memory.max": "max\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert memory_bytes(tmp_path) == 8000 * 1024
    (tmp_path / "sys/fs/cgroup/app/memory.max").write_text("1000000\n")
    assert memory_bytes(tmp_path) == 1000000


def test_a_machine_that_shows_nothing(tmp_path) -> None:
    machine = detect_machine(tmp_path)
    assert (machine.cpu_model, machine.isa, machine.memory_bytes) == ("", (), None)
    assert 1 <= machine.allowed_cores <= machine.logical_cores


def test_this_machine() -> None:
    machine = detect_machine()
    assert machine.arch
    assert 1 <= machine.allowed_cores <= machine.logical_cores
    if Path("/proc/meminfo").exists():
        assert machine.memory_bytes is not None
        assert machine.memory_bytes > 2**26
