"""docs/clients.md says what these tests run, and nothing else."""

from tests.clients.page import PAGE, page
from tests.clients.test_agents import SHOWN
from tests.clients.turns import AGENTS


def test_the_page_of_clients_is_what_the_tests_run() -> None:
    assert PAGE.read_text() == page(), "python -m tests.clients.page writes it"


def test_each_agent_is_on_the_page() -> None:
    assert SHOWN.keys() == {agent.name for agent in AGENTS}
