"""Hostile, damaged and unrelated torch files: one error each, and nothing runs."""

import argparse
import collections
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from export.checkpoint import load_checkpoint
from export.unpickle import read_torch_file
from runtimes.errors import CheckpointError

ZIP = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Payload:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> object:
        return self.call


def save(content: object, path: Path, *, zipped: bool) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)


@ZIP
@pytest.mark.parametrize("where", ["meta", "state_dict", "top"])
@pytest.mark.parametrize("kind", ["system", "eval", "exec"])
def test_a_payload_is_refused_and_does_not_run(
    tmp_path: Path, kind: str, where: str, *, zipped: bool
) -> None:
    sentinel = tmp_path / "ran"
    code = f"open({str(sentinel)!r}, 'w').close()"
    payload = {
        "system": Payload(os.system, f"touch {sentinel}"),
        "eval": Payload(eval, code),
        "exec": Payload(exec, code),
    }[kind]
    content = {"meta": {}, "state_dict": {"w": torch.zeros(2)}}
    path = tmp_path / "evil.pth"
    save(payload if where == "top" else content | {where: {"w": payload}}, path, zipped=zipped)

    with pytest.raises(CheckpointError, match="names foreign code") as caught:
        load_checkpoint(path)
    assert not sentinel.exists()
    assert "\n" not in str(caught.value)
    assert "torch.save(model.state_dict(), FILE)" in str(caught.value)
    torch.load(path, weights_only=False)
    assert sentinel.exists()  # the payload is real: an unguarded reader runs it


@ZIP
def test_inert_names_cannot_be_made_to_act(tmp_path: Path, *, zipped: bool) -> None:
    """`getattr` is on the list for mmengine's sake: it must give nothing that can be called."""
    path = tmp_path / "getattr.pth"
    save({"w": torch.zeros(1), "x": Payload(getattr, torch.Tensor, "tolist")}, path, zipped=zipped)
    content = read_torch_file(path)
    assert not callable(content["x"])


@ZIP
def test_training_state_of_mmengine_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, zipped: bool
) -> None:
    name = "mmengine.logging.history_buffer"
    buffer = type("HistoryBuffer", (), {"__module__": name})
    value = buffer()
    value.__dict__.update(_log_history=np.arange(3.0), _statistics_methods={})
    content = {
        "meta": {
            "dataset_meta": {"sigmas": np.full(17, 0.05, np.float32), "count": np.int64(17)},
            "args": argparse.Namespace(lr=1),
            "where": Path("work_dirs"),
        },
        "message_hub": {"log_scalars": collections.OrderedDict(loss=value)},
        "state_dict": {"w": torch.arange(3.0)},
    }
    path = tmp_path / "train.pth"
    with monkeypatch.context() as patch:
        for part in ("mmengine", "mmengine.logging", name):
            patch.setitem(sys.modules, part, types.ModuleType(part))
        sys.modules[name].HistoryBuffer = buffer
        save(content, path, zipped=zipped)

    assert torch.equal(read_torch_file(path)["state_dict"]["w"], torch.arange(3.0))
    assert "mmengine" not in sys.modules


@ZIP
def test_every_truncation_is_one_error(tmp_path: Path, *, zipped: bool) -> None:
    whole = tmp_path / "whole.pth"
    save({"state_dict": {"w": torch.zeros(50)}}, whole, zipped=zipped)
    data = whole.read_bytes()
    path = tmp_path / "cut.pth"
    for length in range(1, len(data) - 60, max(1, len(data) // 60)):
        path.write_bytes(data[:length])
        with pytest.raises(
            CheckpointError, match=r"damaged, cut short|names foreign code"
        ) as caught:
            read_torch_file(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"junk" * 300,
        b"PK\3\4" + b"\0" * 64,
        b"\x80\x02}.",
        b"<html>404</html>\n",
        pickle.dumps({}),
    ],
)
def test_junk_is_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "junk.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_pickled_module_and_a_torchscript_archive_say_what_to_save(tmp_path: Path) -> None:
    path = tmp_path / "module.pt"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(CheckpointError, match=r"torch\.nn\.modules\.linear\.Linear"):
        load_checkpoint(path)
