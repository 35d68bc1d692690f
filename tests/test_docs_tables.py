"""The tables in docs/settings.md and docs/metrics.md are those that the code gives."""

import pytest

from signet.serving.gateway.settings import Settings
from tests import docs_tables
from tests.servers import ROOT


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    return docs_tables.tables()


@pytest.mark.parametrize("page", ["docs/settings.md", "docs/metrics.md"])
def test_a_table_is_what_the_code_says(page, tables):
    (written,) = docs_tables.TABLE.findall((ROOT / page).read_text())
    assert written == tables[page], "write it again: make docs"


def test_every_setting_has_a_meaning():
    assert docs_tables.meanings().keys() == Settings.model_fields.keys()
