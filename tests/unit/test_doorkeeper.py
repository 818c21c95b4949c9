"""Who gets in where it is full, and who has to go for it."""

import pytest

from firstpass.web.doorkeeper import Doorkeeper


class Connected:
    def __init__(self, keeper: Doorkeeper, address: str) -> None:
        self.ended = self.unsent = False
        self._keeper = keeper
        self.inside = keeper.lets_in(self, address)

    def has_unsent(self) -> bool:
        return self.unsent

    def end(self) -> None:
        self.ended = True
        self._keeper.has_left(self)


def test_the_one_that_has_said_nothing_for_longest_gives_way() -> None:
    keeper = Doorkeeper(3, 3)
    first, second, third = (Connected(keeper, f"10.0.0.{number}") for number in range(3))
    keeper.is_busy(first)
    keeper.is_busy(second)
    keeper.is_idle(second)
    newcomer = Connected(keeper, "10.0.0.9")
    assert newcomer.inside and third.ended and not first.ended and not second.ended
    assert Connected(keeper, "10.0.0.10").inside and second.ended and not first.ended


def test_what_has_not_got_its_whole_answer_is_ended_for_nobody() -> None:
    keeper = Doorkeeper(2, 2)
    first, second = (Connected(keeper, f"10.0.0.{number}") for number in range(2))
    first.unsent = second.unsent = True
    assert not Connected(keeper, "10.0.0.9").inside and not first.ended and not second.ended
    second.unsent = False
    assert Connected(keeper, "10.0.0.9").inside and second.ended and not first.ended


def test_what_is_being_answered_is_ended_for_nobody() -> None:
    keeper = Doorkeeper(2, 2)
    busy = [Connected(keeper, f"10.0.0.{number}") for number in range(2)]
    for connection in busy:
        keeper.is_busy(connection)
    assert not Connected(keeper, "10.0.0.9").inside and not any(connection.ended for connection in busy)
    keeper.has_left(busy[0])
    assert Connected(keeper, "10.0.0.9").inside


@pytest.mark.parametrize(
    ("addresses", "own"),
    [
        (["10.0.0.1", "10.0.0.1", "10.0.0.1"], True),
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], True),
        (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], False),
        (["127.0.0.1"] * 3, False),
        (["::1"] * 3, False),
        (["192.168.7.7"] * 3, False),
    ],
)
def test_an_address_that_has_its_share_ends_its_own_connections_alone(addresses: list[str], own: bool) -> None:
    keeper = Doorkeeper(100, 2, ["192.168.7.0/24"])
    other = Connected(keeper, "10.9.9.9")
    mine = [Connected(keeper, address) for address in addresses]
    assert all(connection.inside for connection in mine) and not other.ended
    assert [connection.ended for connection in mine] == [own, False, False]


def test_an_address_whose_share_is_all_at_work_gets_no_more_and_others_do() -> None:
    keeper = Doorkeeper(100, 1)
    keeper.is_busy(Connected(keeper, "10.0.0.1"))
    assert not Connected(keeper, "10.0.0.1").inside and Connected(keeper, "10.0.0.2").inside


def test_nothing_is_remembered_of_those_that_left() -> None:
    keeper = Doorkeeper(100, 10)
    for number in range(50):
        connection = Connected(keeper, f"10.0.{number}.1")
        keeper.is_busy(connection)
        keeper.is_idle(connection)
        keeper.has_left(connection)
        keeper.is_idle(connection)
    assert not any(getattr(keeper, name) for name in ("_networks", "_numbers", "_idle", "_idle_of"))
