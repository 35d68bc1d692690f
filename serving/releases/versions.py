"""Which versions of a model there are, in a folder or at an address: whoever begins a release must not name another one."""

from pathlib import Path

from signet.serving.errors import UsageError
from signet.serving.models import model_store
from signet.serving.models.models_folder import is_version
from signet.serving.releases import release as releases

_FILE = "saved_model.pb"


def versions(place: str, model: str) -> list[int]:
    """The versions of a model that hold a SavedModel, from the lowest to the highest. Raises `UsageError`."""
    releases.check_model(model)
    names = _in_store(place, model) if model_store.is_address(place) else _in_folder(Path(place), model)
    found = sorted(int(name) for name in names if is_version(name))
    if not found:
        raise UsageError(f"there is no version of {model!r} in {place}; expected {model}/VERSION/{_FILE}")
    return found


def _in_folder(place: Path, model: str) -> list[str]:
    try:
        return [path.parent.name for path in (place / model).glob(f"*/{_FILE}")]
    except OSError as error:
        raise UsageError(f"{place / model} cannot be read: {error.strerror}") from error


def _in_store(place: str, model: str) -> list[str]:
    files, root = model_store.file_system(place)
    try:
        return [path.rsplit("/", 2)[-2] for path in files.glob(f"{root}/{model}/*/{_FILE}")]
    except Exception as error:  # each kind of store has errors of its own
        raise UsageError(f"cannot read {place}: {error or type(error).__name__}") from error
