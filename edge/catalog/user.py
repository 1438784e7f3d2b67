"""Models that the user adds to the catalogue: a JSON file that EDGEPOSE_CATALOG names."""

import os
import re
from pathlib import Path

import msgspec

from runtimes.errors import InputError
from runtimes.naming import MODEL_NAME
from runtimes.record import MALFORMED, Record

VARIABLE = "EDGEPOSE_CATALOG"
SHA256 = re.compile(r"[0-9a-fA-F]{8,64}")


class UserModel(Record, frozen=True, kw_only=True):
    """One model: a name, the address of its checkpoint, and the checkpoint's sha256 (or its first 8 digits or more).

    like: the published model whose network and keypoints it has; by default the tensors of the file show that. A name
    of the catalogue stands for the user's file instead, and is like itself.
    """

    name: str
    url: str
    sha256: str
    like: str | None = None


def user_models() -> dict[str, UserModel]:
    """Return the models of the file that EDGEPOSE_CATALOG names, by name; none where it is not set.

    The file is a JSON list of objects, the fields of UserModel. Raises InputError for one that cannot be used.
    """
    named = os.environ.get(VARIABLE)
    if not named:
        return {}
    path = Path(named).expanduser()
    try:
        models = msgspec.json.decode(path.read_bytes(), type=list[UserModel])
    except OSError as error:
        raise InputError(f"{path} ({VARIABLE}): cannot be read ({error.strerror})") from error
    except MALFORMED as error:
        raise InputError(
            f'{path} ({VARIABLE}): no list of models ({error}); write [{{"name", "url", "sha256", "like"}}, ...]'
        ) from error
    for model in models:
        if problem := _problem(model):
            raise InputError(f"{path} ({VARIABLE}): {model.name!r}: {problem}")
    found = {model.name: model for model in models}
    if len(found) < len(models):
        raise InputError(f"{path} ({VARIABLE}): a name is there twice; give each model its own")
    return found


def _problem(model: UserModel) -> str:
    """Return why a model cannot be used; "" where it can. `like` is checked where it is looked up."""
    if not MODEL_NAME.fullmatch(model.name):
        return "a model's name has letters, digits and . _ + - only"
    if not SHA256.fullmatch(model.sha256):
        return "sha256 wants 8 to 64 hexadecimal digits"
    return ""
