"""Every codec that an artifact can name has its decoder, and every decoder file its codec."""

from pathlib import Path
from typing import get_args

import edge.codecs
from edge.codecs import _DECODERS
from runtimes.codec_spec import Codec

# Parts of the ae and paf decoders; the flip test, the choice and the checks of classes: they decode nothing alone.
HELPERS = {"ae_group", "assignment", "paf_group", "paf_peaks", "flip", "people", "class_names"}


def test_each_codec_of_the_manifest_has_a_decoder() -> None:
    assert set(get_args(Codec)) == set(_DECODERS)


def test_each_file_of_codecs_has_a_line() -> None:
    folder = Path(edge.codecs.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"} - HELPERS
    used = {decoder.__module__.rsplit(".", 1)[1] for decoder in _DECODERS.values()}
    assert files == used
