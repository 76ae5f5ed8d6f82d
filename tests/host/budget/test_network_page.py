from pathlib import Path

from edge_cnn.host.architectures import ARCHITECTURES
from edge_cnn.host.budget.network_page import INPUTS, page


def test_the_page_of_networks_says_what_the_code_says():
    assert set(INPUTS) == set(ARCHITECTURES)
    written = (Path(__file__).parents[3] / "docs" / "networks.md").read_text(encoding="utf-8")
    assert written == page(), "make it anew: python -m edge_cnn.host.budget.network_page docs/networks.md"
