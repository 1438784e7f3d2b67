"""Configurations: which methods go together, and that a run is resumed with its own configuration only."""

import msgspec
import pytest

from quantize.distill.config import DistillConfig, check_methods, parse_methods
from quantize.distill.defaults import with_defaults
from quantize.distill.loop.run_folder import CONFIG, check_run_folder, read_config, write_config
from runtimes.errors import InputError, TargetExistsError

CONFIG_A = DistillConfig(student="rtmpose-t", teacher="t.pth", methods=("heatmap",))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("heatmap,token", ("heatmap", "token")), (" none ", ("none",)), ("head,head", ("head",))],
)
def test_methods_are_listed_with_commas(text, wanted) -> None:
    assert parse_methods(text) == wanted


@pytest.mark.parametrize("text", ["", "heat", "heatmap,tokens"])
def test_unknown_methods_are_refused(text) -> None:
    with pytest.raises(InputError, match=r"unknown method .*known: none, heatmap, token"):
        parse_methods(text)


@pytest.mark.parametrize(
    ("methods", "teacher", "student", "said"),
    [
        (("none", "heatmap"), "t", "rtmpose-t", "goes with no other method"),
        (("head", "simcc"), "t", "rtmpose-t", "goes with no other method"),
        (("heatmap",), "", "rtmpose-t", "needs a teacher"),
        (("token",), "t", "rtmpose-t", "rtmpose-t has none"),
        (("token",), "t", "cspnext-t-fpn", "cspnext-t-fpn has none"),
        (("feature",), "t", "fastpose-res50", "fastpose is not divided so"),
        (("head",), "t", "fastpose-res50-integral", "fastpose is not divided so"),
    ],
)
def test_incompatible_methods_are_refused(methods, teacher, student, said) -> None:
    with pytest.raises(InputError, match=said):
        check_methods(DistillConfig(student=student, teacher=teacher, methods=methods))


def test_compatible_methods_pass() -> None:
    check_methods(DistillConfig(student="rtmpose-t", methods=("none",)))
    check_methods(DistillConfig(student="vitpose-s", teacher="t", methods=("heatmap", "token")))


def test_a_run_is_resumed_with_its_configuration_only(tmp_path) -> None:
    folder = tmp_path / "a"
    check_run_folder(folder, CONFIG_A, resume=False)
    write_config(folder, CONFIG_A)
    assert read_config(folder, DistillConfig) == CONFIG_A
    check_run_folder(folder, msgspec.structs.replace(CONFIG_A, workers=4), resume=True)
    halved = msgspec.structs.replace(CONFIG_A, batch=16, accumulate=2)
    check_run_folder(folder, halved, resume=True)
    with pytest.raises(InputError, match="started with batch 32, not 8"):
        check_run_folder(folder, msgspec.structs.replace(CONFIG_A, batch=8), resume=True)
    with pytest.raises(TargetExistsError, match="holds a training"):
        check_run_folder(folder, CONFIG_A, resume=False)


def test_nothing_to_resume_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="no training run to resume"):
        check_run_folder(tmp_path, CONFIG_A, resume=True)
    (tmp_path / CONFIG).write_text('{"student": 1}')
    with pytest.raises(InputError, match="cannot be read"):
        check_run_folder(tmp_path, CONFIG_A, resume=True)


STORED = """{
 "format": 1, "student": "vitpose-32x2x2-simple", "teacher": "t.safetensors", "teacher_weights": null,
 "teacher_task": null, "data": ["people.json"], "images": "", "methods": ["heatmap", "token"],
 "schema": "coco17", "input_wh": [48, 64], "init": "", "token": "", "token_steps": 300,
 "lessons": "shared", "epochs": 10, "steps": 6, "batch": 4, "accumulate": 1, "lr": 0.001,
 "layer_decay": 1.0, "teacher_share": 0.5, "guide": 0.02, "views": "gentle", "jitter": "none",
 "drawn": 2000, "precision": "f32", "seed": 0, "workers": 1, "save_every": 200
}"""


def test_a_stored_configuration_of_version_0_1_is_read_and_resumed(tmp_path) -> None:
    """The file and its keys keep their first names, and what is written has no others."""
    (tmp_path / "recipe.json").write_text(STORED)
    config = read_config(tmp_path, DistillConfig)
    assert (config.teacher_cache, config.heatmap_weight) == ("shared", 0.5)
    assert (config.deep_supervision, config.augment) == (0.02, "gentle")
    check_run_folder(tmp_path, config, resume=True)
    assert set(msgspec.json.decode(STORED)) <= set(msgspec.to_builtins(config))


def test_settings_that_version_0_1_did_not_store_are_those_of_its_time(tmp_path) -> None:
    """Filled in on both sides: on the command line's, and on the stored one's."""
    (tmp_path / "recipe.json").write_text(STORED)

    def fill(config: DistillConfig) -> DistillConfig:
        return with_defaults(config, "vitpose", "32x2x2-simple")

    config = fill(read_config(tmp_path, DistillConfig))
    assert config.weight_decay == 0.05
    check_run_folder(tmp_path, config, resume=True, fill=fill)
    other = msgspec.structs.replace(config, weight_decay=0.1)
    with pytest.raises(InputError, match=r"started with weight_decay 0\.05, not 0\.1"):
        check_run_folder(tmp_path, other, resume=True, fill=fill)
