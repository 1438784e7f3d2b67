"""Profiles, core clusters and instruction sets of real devices' texts; a generic profile for unknown ones."""

import platform

import pytest
from device_files import ALL, DeviceFiles, read_device

from devices.detect import detect_machine
from devices.identity import detect_identity, read_texts
from devices.parse.cpuinfo import cpu_model, isa_flags
from devices.profiles.match import Texts, identify
from devices.profiles.profile import load_profiles
from devices.topology import read_topology, thread_candidates

GENERIC = {each.id for each in load_profiles().profiles if each.family == "generic"}


@pytest.mark.parametrize("device", ALL, ids=lambda each: each.name)
def test_a_device_is_known_by_its_files(device: DeviceFiles, tmp_path) -> None:
    root, expected = device.write(tmp_path), device.expected
    identity = detect_identity(root)
    assert identity.profile.id == expected["profile"]
    if expected["certain"] is None:
        assert identity.evidence is None
    else:
        assert identity.evidence is not None
        assert identity.evidence.certain == expected["certain"]
    if expected["arch"]:
        assert identity.arch == expected["arch"]
    assert device.source


@pytest.mark.parametrize(
    "device", [each for each in ALL if each.expected["big"]], ids=lambda each: each.name
)
def test_its_cores_and_instruction_sets_are_found(device: DeviceFiles, tmp_path) -> None:
    root, expected = device.write(tmp_path), device.expected
    topology = read_topology(root)
    cores = {
        role: sum(each.cores for each in topology.clusters if each.role == role)
        for role in ("big", "little")
    }
    assert cores == {"big": expected["big"], "little": expected["little"]}
    assert bool(topology.by) == bool(expected["little"])
    threads = detect_identity(root).profile.threads
    assert list(thread_candidates(topology, threads)) == expected["thread_candidates"]
    texts = read_texts(root)
    assert cpu_model(texts.cpuinfo, texts.model) == expected["cpu_model"]
    assert set(expected["isa"]) <= set(isa_flags(texts.cpuinfo))


# those whose text shows instruction sets; a 32-bit system shows fewer than its CPU has
WITH_ISA = [
    each
    for each in ALL
    if each.expected["certain"]
    and isa_flags(each.files.get("proc/cpuinfo", ""))
    and each.name != "raspberry-pi-4-32-bit"
]


@pytest.mark.parametrize("device", WITH_ISA, ids=lambda each: each.name)
def test_the_instruction_sets_of_a_profile_are_those_of_its_devices(device, tmp_path) -> None:
    root = device.write(tmp_path)
    profile = detect_identity(root).profile
    here = set(isa_flags(read_texts(root).cpuinfo))
    assert set(profile.isa) - {"avx512_fp16"} <= here | {"bf16"}


@pytest.mark.parametrize(
    "cpuinfo",
    [
        *("", "\0\0\0", "garbage", "processor\t: 0\n" * 9, "CPU part\t: 0xd0b\n", "flags\t: avx512_bf16\n"),
        "CPU implementer\t: 0xZZ\nCPU part\t: 0xd0b\n",
        "vendor_id\t: GenuineIntel\ncpu family\t: six\nmodel\t: \n",
        "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: 99999999999999999999999\nflags\t: lm\n",
        "vendor_id\t: AuthenticAMD\ncpu family\t: -25\nflags\t: avx512_bf16\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("arch", ["aarch64", "x86_64", "armv7l", "riscv64", ""])
def test_no_device_is_known_by_an_empty_or_garbled_text(cpuinfo: str, arch: str) -> None:
    identity = identify(Texts(cpuinfo=cpuinfo, compatible="\0,\0garbage\0", soc_id="?"), arch)
    assert identity.profile.id in GENERIC
    assert identity.evidence is None
    by_arch = {"aarch64": "generic-arm64", "x86_64": "generic-x86", "armv7l": "generic-arm32"}
    assert identity.profile.id == by_arch.get(identity.arch, "generic")


@pytest.mark.parametrize("device", ALL, ids=lambda each: each.name)
def test_cut_off_texts_give_the_device_or_a_generic_one(device: DeviceFiles) -> None:
    """A text that ends early may say less, and then something less certain, never another certain device."""
    cpuinfo = device.files.get("proc/cpuinfo", "")
    for share in (0.1, 0.5, 0.9):
        found = identify(Texts(cpuinfo=cpuinfo[: int(len(cpuinfo) * share)]), "")
        certain = found.evidence is not None and found.evidence.certain
        assert found.profile.id == device.expected["profile"] or not certain


def test_unknown_ids_are_generic_though_the_cores_are_those_of_a_known_device() -> None:
    cores = read_device("qualcomm-rb3-gen2").files["proc/cpuinfo"]
    assert identify(Texts(cpuinfo=cores), "").profile.id == "qualcomm-rb3-gen2"
    for texts in (
        Texts(cpuinfo=cores, soc_id="99999"),
        Texts(cpuinfo=cores, compatible="acme,phone\0acme,soc\0"),
        Texts(cpuinfo=cores, getprop="[ro.soc.model]: [MT6893]\n"),
        Texts(cpuinfo=cores + "\nHardware\t: MT6893\n"),
    ):
        assert identify(texts, "").profile.id == "generic-arm64"


def test_a_number_of_another_vendors_soc0_is_no_qualcomm() -> None:
    assert identify(Texts(soc_id="356", soc_family="Snapdragon"), "").profile.id == "snapdragon-865"
    assert identify(Texts(soc_id="356", soc_family="Tegra"), "aarch64").profile.id in GENERIC


def test_the_board_comes_before_its_soc() -> None:
    texts = Texts(compatible="qcom,qrb5165-rb5\0qcom,sm8250\0", soc_id="356")
    assert identify(texts, "").profile.id == "qualcomm-rb5"


def test_hardware_of_cpuinfo_names_the_soc() -> None:
    texts = Texts(cpuinfo="Hardware\t: Qualcomm Technologies, Inc SM8550\n")
    assert identify(texts, "aarch64").profile.id == "snapdragon-8-gen2"


def test_this_machine_has_a_profile_and_its_record_names_it(tmp_path) -> None:
    ids = {each.id for each in load_profiles().profiles}
    assert detect_machine().profile in ids
    assert detect_machine(tmp_path).profile in GENERIC
    assert detect_identity(tmp_path).arch == platform.machine()


def test_a_machine_without_files_is_one_cluster(tmp_path) -> None:
    topology = read_topology(tmp_path)
    assert [(each.role, each.cpus, each.core) for each in topology.clusters] == [("big", (0,), "")]
    assert topology.big_cores == 1


def test_cores_beyond_the_affinity_do_not_count() -> None:
    topology = read_topology()
    assert 1 <= topology.big_cores <= topology.usable
    assert topology.usable <= sum(len(each.cpus) for each in topology.clusters)


def test_no_more_threads_are_proposed_than_an_engine_takes(tmp_path) -> None:
    (tmp_path / "sys/devices/system/cpu").mkdir(parents=True)
    (tmp_path / "sys/devices/system/cpu/online").write_text("0-383\n")
    threads = load_profiles().profiles[-1].threads
    assert thread_candidates(read_topology(tmp_path), threads)[-1] == 256
