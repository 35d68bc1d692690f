"""What says whether a document is OpenAPI."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def validate() -> Callable[[Any], None]:
    """Fails for a document that is not valid OpenAPI."""
    import schemathesis  # takes a second

    return lambda document: schemathesis.openapi.from_dict(document).validate()
