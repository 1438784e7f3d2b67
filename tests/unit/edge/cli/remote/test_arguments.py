"""Options of `run` on a board: each is passed on, or known as one of this machine."""

import dataclasses

import click

from edge.cli.commands.run import PipelineOptions, command
from edge.cli.options import LoadOptions
from edge.cli.outputs import Outputs
from edge.cli.remote.arguments import OURS, forwarded


def test_no_option_is_forgotten() -> None:
    options = {each.name for each in command.params if isinstance(each, click.Option)}
    groups = (PipelineOptions, Outputs, LoadOptions)
    given = {each.name for group in groups for each in dataclasses.fields(group)}
    assert options - OURS == given - OURS | {"kpt_thr", "shard", "give_up_s", "force", "as_json"}


def test_options_are_spelled_as_they_were_given() -> None:
    given = {"skip": "auto", "track": True, "force": False, "det_thr": 0.5, "coco": "a b.json"}
    given |= {"extra": {"provider": "xnnpack", "depth": 2}}
    given |= {"max_people": None, "jsonl": "-", "pose": "models/x", "remote": "ssh:board"}
    assert forwarded(command, given) == [
        "--skip=auto",
        "--track",
        "--det-thr=0.5",
        "--save-json=a b.json",
        "--save-jsonl=-",
        "--engine-option=provider=xnnpack",
        "--engine-option=depth=2",
    ]
