"""edgepose devices: the device and why, its cores, runtimes in order; facts that were not verified are marked."""

from device_files import read_device


def test_a_device_by_the_files_copied_from_it(edgepose, tmp_path):
    root = read_device("raspberry-pi-5").write(tmp_path)
    found = edgepose("devices", "--root", root, "--json").json
    assert found["profile"]["id"] == "raspberry-pi-5"
    assert found["evidence"]["found"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert (found["arch"], found["usable_cores"]) == ("aarch64", 4)
    assert [each["core"] for each in found["clusters"]] == ["Cortex-A76"]
    assert found["thread_candidates"] == [1, 2, 3, 4]
    assert found["runtimes"][0]["runtime"] == "ncnn"
    assert found["runtimes"][0]["arithmetic"] == ["f16", "bf16", "f32"]
    assert set(found["profile"]["sources"]["clusters"]) <= set(found["sources"])
    done = edgepose("devices", "--root", root)
    assert "Raspberry Pi 5, 500, Compute Module 5 (BCM2712)" in done.out
    assert "/proc/device-tree/model: Raspberry Pi 5 Model B Rev 1.0 [K]" in done.out
    assert any(line.startswith("[K] not verified") for line in done.talk)
    assert done.talk[-1] == "next: edgepose tune ARTIFACT --threads 1,2,3,4"


def test_doubt_is_shown(edgepose, tmp_path):
    root = read_device("snapdragon-8-gen2-xiaomi-13-pro").write(tmp_path)
    done = edgepose("devices", "--root", root)
    assert "other devices may say the same" in done.out
    assert "little" in done.out


def test_a_folder_without_files_is_a_generic_device(edgepose, tmp_path):
    found = edgepose("devices", "--root", tmp_path, "--json").json
    assert found["profile"]["family"] == "generic"
    assert found["evidence"] is None
    assert "architecture alone" in edgepose("devices", "--root", tmp_path).out


def test_no_folder_is_named(edgepose, tmp_path):
    done = edgepose("devices", "--root", tmp_path / "gone")
    assert done.code == 2
    assert "no folder" in done.message


def test_its_sensors_are_shown(edgepose, tmp_path):
    root = read_device("raspberry-pi-5").write(tmp_path)
    assert "this system shows no sensors" in edgepose("devices", "--root", root).out
    for path, text in {
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "61450\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    shown = edgepose("devices", "--root", root).out
    assert "61.5 °C" in shown or "61.4 °C" in shown
    assert "under-voltage: now" in shown
    sensors = edgepose("devices", "--root", root, "--json").json["sensors"]
    assert sensors["temperatures"] == [{"name": "cpu-thermal", "celsius": 61.45}]
