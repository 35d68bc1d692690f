"""The documentation's notebooks: the tutorial is its page, and every cell runs."""

import pytest

from tests import notebooks, servers


def test_the_tutorials_notebook_is_its_page():
    assert notebooks.TUTORIAL.read_text() == notebooks.made(), "write it again: make deploy-files"


@pytest.mark.timeout(900)
def test_the_tutorial_says_what_comes(tmp_path):
    port = servers.free_port()
    url = f"http://localhost:{port}"
    said = notebooks.run(
        notebooks.TUTORIAL,
        tmp_path,
        {"localhost:8080": f"localhost:{port}"},
        SIGNET_URL=url,
        SIGNET_HTTP_PORT=str(port),
        SIGNET_GRPC_PORT="0",
    )
    for words in (
        "did you mean 'question'?",
        "'answer_label': array(['kitchen', 'office']",
        '"answer_label":"hallway"',
        "0.00%",
        "version 2 against version 1: is refused",
        "output 'answer': the class changes in",
        "version 3 against version 1: passes",
        "is at shadow",
        "stage      shadow",
    ):
        assert words in said, said
