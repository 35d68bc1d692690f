"""The shop's versions, written once: a few for every run, all of them for the full counts."""

from pathlib import Path

import pytest

from tests.made_models import made

_SCRIPT = """
import sys
from pathlib import Path
from tests.serving.releases.gate import shop_models
shop_models.write(Path(sys.argv[1]), {names}, {good})
"""


def _written(factory: pytest.TempPathFactory, names: str, good: int) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # matrices of this size are slower by two threads than by one
        return made(factory, _SCRIPT.format(names=names, good=good)) / "shop"


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stable, good-0, several, crash and hang."""
    return _written(tmp_path_factory, "['several', 'crash', 'hang']", 1)


@pytest.fixture(scope="session")
def whole_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """stable, twenty good retrainings, and every broken version."""
    return _written(tmp_path_factory, "[*shop_models.BROKEN, 'nan_weights', 'hardly_trained']", 20)
