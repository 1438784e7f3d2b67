"""profiles.json: every fact has a source, sources are known, patterns compile, names exist; peaks as published."""

import re

import pytest

from devices.parse.cores import ARM_CORES, CORES
from devices.parse.cpuinfo import ISA
from devices.profiles.profile import Profile, load_profiles, peak_gflops
from devices.report import ranked_runtimes

FILE = load_profiles()
PROFILES = {each.id: each for each in FILE.profiles}
every_profile = pytest.mark.parametrize("profile", FILE.profiles, ids=lambda each: each.id)
# GFLOPS of the big cores in the collection of facts that the profiles were made of: fp32, fp16, int8
PEAKS = {
    "snapdragon-865": (161.6, 323.2, 646.4),
    "snapdragon-8-gen2": (281.6, 563.2, 2252.8),
    "snapdragon-8-gen3": (351.5, 703.0, 2812.2),
    "intel-xeon-vnni": (1484.8, None, 5939.2),
    "intel-xeon-amx": (1689.6, 3379.2, 54067.2),
    "intel-core-ultra": (979.2, None, 3916.8),
    "intel-hybrid-core": (883.2, None, 3532.8),
    "intel-n100": (185.6, None, 371.2),
    "amd-zen4-zen5": (512.0, None, 2048.0),
    "jetson-nano": (45.8, None, None),
}


@every_profile
def test_every_fact_names_its_source(profile: Profile) -> None:
    facts = {
        name: getattr(profile, name)
        for name in ("clusters", "isa", "threads", "memory_gb_per_s", "npu", "gpu", "python", "latency")
    }  # fmt: skip
    facts |= {name: getattr(profile.match, name) for name in profile.match.__struct_fields__}
    given = {name for name, value in facts.items() if value}
    assert set(profile.sources) == given
    named = [
        *profile.sources.values(),
        *(note.source for note in profile.notes),
        *(choice.source for choice in profile.runtimes),
        *(choice.source for choice in FILE.precision[profile.precision]),
        *(CORES[cluster.core].source for cluster in profile.clusters),
    ]
    assert all(named)
    assert {key for keys in named for key in keys} <= set(FILE.sources)


@every_profile
def test_names_and_patterns_are_real(profile: Profile) -> None:
    assert {each.core for each in profile.clusters} <= set(CORES)
    assert set(profile.isa) <= set(ISA)
    known = {midr for cores in profile.match.cores for midr in cores}
    assert known <= set(ARM_CORES)
    for pattern in (profile.match.model, profile.match.brand):
        re.compile(pattern)
    assert profile.runtimes
    counts = profile.threads.candidates
    assert list(counts) == sorted(set(counts))
    if profile.clusters and profile.threads.best:
        assert profile.threads.best <= sum(each.count for each in profile.clusters)


@every_profile
def test_its_cores_are_those_it_is_known_by(profile: Profile) -> None:
    count = sum(each.count for each in profile.clusters)
    for cores in profile.match.cores:
        assert sum(cores.values()) in {count, 10}  # an X Plus has ten of the X Elite's twelve
        names = {ARM_CORES[midr].name for midr in cores}
        assert {name.removeprefix("Kryo Silver (").removesuffix(")") for name in names} == {
            each.core for each in profile.clusters
        }


def test_no_two_profiles_claim_one_name() -> None:
    for field in (
        "compatible",
        "soc_ids",
        "android_models",
        "android_platforms",
        "modules",
        "arch",
    ):
        claimed = [name for each in FILE.profiles for name in getattr(each.match, field)]
        assert len(claimed) == len(set(claimed)), field
    assert len(PROFILES) == len(FILE.profiles)


@pytest.mark.parametrize("name", PEAKS)
def test_peaks_follow_from_cores_and_clocks(name: str) -> None:
    found = [peak_gflops(PROFILES[name], kind) for kind in ("fp32", "fp16", "int8")]
    assert found == [value and pytest.approx(value, rel=2e-3) for value in PEAKS[name]]


def test_facts_that_were_not_verified_say_so() -> None:
    assert FILE.sources["K"].startswith("not verified")
    assert PROFILES["snapdragon-865"].sources["android_platforms"] == ("K",)
    assert PROFILES["intel-rocket-lake"].sources["cpuid"] == ("K",)
    assert PROFILES["jetson-orin-nano"].sources["gpu"] == ("K",)


def test_arithmetic_that_the_cpu_lacks_is_left_out() -> None:
    arm = PROFILES["generic-arm64"]
    with_half = {each.runtime: each.arithmetic for each in ranked_runtimes(arm, ("asimdhp",))}
    without = {each.runtime: each.arithmetic for each in ranked_runtimes(arm, ("asimd",))}
    assert with_half["ncnn"] == ("f16", "f32")
    assert without["ncnn"] == ("f32",)
