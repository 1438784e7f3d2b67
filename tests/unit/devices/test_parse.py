"""Parsers of device texts: values of the formats, and no exception on any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.parse.board import parse_compatible, parse_cpu_list, parse_getprop, parse_soc_id
from devices.parse.cores import ARM_CORES, CORES
from devices.parse.cpuinfo import ISA, cpu_model, isa_flags, parse_cpuinfo
from devices.profiles.match import Texts, identify
from devices.profiles.profile import load_profiles

# Anything, and words of the formats in any order: deeper into the parsers than random characters come.
WORDS = st.sampled_from(
    [
        *("processor\t: ", "CPU implementer\t: ", "CPU part\t: ", "Features\t: ", "flags\t: "),
        *("vendor_id\t: ", "cpu family\t: ", "model\t: ", "model name\t: ", "Hardware\t: "),
        *("0x41", "0xd0b", "0x", "0xfffffffff", "7", "-1", "9" * 40, "\u0663", "²", "asimd", "lm"),
        *("[ro.soc.model]: [", "]", "SM8550-AB", "qcom,sm8550", "nvidia,p3767-0005", ",", "0-3", "-"),
        *("GenuineIntel", "AuthenticAMD", "\n", "\0", "\r\n", ":", " "),
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=30).map("".join))


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_no_text_raises(first: str, second: str) -> None:
    parsed = parse_cpuinfo(first)
    assert all(cpu >= 0 and midr.count("/") == 1 for cpu, midr in parsed.cores)
    assert isinstance(cpu_model(first, second), str)
    assert set(isa_flags(first)) <= set(ISA)
    assert all("," in entry for entry in parse_compatible(first))
    assert all(parse_getprop(first).values())
    assert list(parse_cpu_list(first)) == sorted(set(parse_cpu_list(first)))
    soc_id = parse_soc_id(first)
    assert soc_id is None or soc_id >= 0


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_has_a_profile(cpuinfo: str, tree: str, properties: str) -> None:
    texts = Texts(
        cpuinfo=cpuinfo,
        compatible=tree,
        model=tree,
        soc_id=properties,
        soc_family=tree,
        soc_machine=properties,
        getprop=properties,
    )
    identity = identify(texts, "aarch64")
    assert identity.profile in load_profiles().profiles
    assert (identity.evidence is None) == (identity.profile.family == "generic")


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3", (0, 1, 2, 3)),
        ("0", (0,)),
        ("0,4-5,7\n", (0, 4, 5, 7)),
        ("3,1", (1, 3)),
        *((text, ()) for text in ("", "\n", "a", "1-", "-1", "0-99999", "0-3,x", "5-2")),
    ],
)
def test_cpu_lists_are_the_kernels(text: str, cpus: tuple[int, ...]) -> None:
    assert parse_cpu_list(text) == cpus


def test_getprop() -> None:
    text = "[ro.soc.model]: [SM8550]\r\n[ro.x]: [Galaxy [5G]]\n[ro.empty]: []\nnoise\n[broken]: [\n"
    assert parse_getprop(text) == {"ro.soc.model": "SM8550", "ro.x": "Galaxy [5G]"}


def test_compatible_is_separated_by_nul() -> None:
    assert parse_compatible("qcom,qrb5165-rb5\0qcom,sm8250\0") == (
        "qcom,qrb5165-rb5",
        "qcom,sm8250",
    )
    assert parse_compatible("no vendor\0\0x") == ()


def test_of_x86_vendor_family_and_model() -> None:
    text = (
        "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 190\nmodel name\t: Intel(R) N100\n"
    )
    cpu = parse_cpuinfo(text)
    assert (cpu.vendor, cpu.family, cpu.model, cpu.brand) == (
        "GenuineIntel",
        6,
        190,
        "Intel(R) N100",
    )


def test_of_arm_the_core_of_each_processor() -> None:
    """Offline processors are not listed: the numbers stay those of the kernel."""
    text = (
        "processor\t: 1\nCPU implementer\t: 0x41\nCPU part\t: 0xd05\n\n"
        "processor\t: 6\nCPU implementer\t: 0x51\nCPU part\t: 0x1\n"
    )
    assert parse_cpuinfo(text).cores == ((1, "0x41/0xd05"), (6, "0x51/0x001"))


def test_core_types_are_named_once() -> None:
    assert all(CORES[each.name].role == each.role for each in ARM_CORES.values())


# Names that entries of tuned.json are kept by: a change loses what was tuned on such a machine.
@pytest.mark.parametrize(
    ("midr", "name"),
    [
        *(("0x41/0xd03", "Cortex-A53"), ("0x41/0xd05", "Cortex-A55"), ("0x41/0xd07", "Cortex-A57")),
        *(("0x41/0xd08", "Cortex-A72"), ("0x41/0xd0b", "Cortex-A76"), ("0x41/0xd0d", "Cortex-A77")),
        *(("0x41/0xd41", "Cortex-A78"), ("0x41/0xd42", "Cortex-A78AE"), ("0x41/0xd44", "Cortex-X1")),
        *(("0x41/0xd46", "Cortex-A510"), ("0x41/0xd47", "Cortex-A710"), ("0x41/0xd4d", "Cortex-A715")),
        *(("0x41/0xd4e", "Cortex-X3"), ("0x41/0xd80", "Cortex-A520"), ("0x41/0xd81", "Cortex-A720")),
        *(("0x41/0xd82", "Cortex-X4"), ("0x4e/0x004", "Carmel"), ("0x51/0x001", "Oryon")),
        *(("0x51/0x803", "Kryo Silver (Cortex-A55)"), ("0x51/0x805", "Kryo Silver (Cortex-A55)")),
    ],
)  # fmt: skip
def test_the_cpu_model_of_known_cores_stays(midr: str, name: str) -> None:
    implementer, _, part = midr.partition("/")
    text = f"processor\t: 0\nCPU implementer\t: {implementer}\nCPU part\t: {part}\n"
    assert cpu_model(text, "") == f"1x {name}"
    assert cpu_model(text, "Board") == f"Board (1x {name})"
