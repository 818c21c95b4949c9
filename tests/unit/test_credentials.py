"""Which of the keys of a request counts, and how often a wrong one may be tried."""

import asyncio

import pytest
from starlette.datastructures import Headers

from firstpass.errors import RateLimited, Unauthorised
from firstpass.store.keys import KeyRecord, mint
from firstpass.web import credentials
from firstpass.web.credentials import Credentials, Tries, network_of
from firstpass.web.document import OPERATIONS
from firstpass.web.scopes import GROUPS, OPEN_PATHS, group_of

KEY, RECORD = mint("ci", b"pepper", 1.0)
OTHER, _ = mint("other", b"pepper", 1.0)
MISTYPED = KEY.replace("-", "-0", 1)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def desk(*, required: bool = True, wrong_a_minute: int = 10) -> Credentials:
    async def find(key: str) -> KeyRecord | None:
        return RECORD if key == KEY else None

    return Credentials(find, required=required, wrong_a_minute=wrong_a_minute)


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode()) for name, value in pairs])


BEARER, X = ("authorization", f"Bearer {KEY}"), ("x-api-key", KEY)


@pytest.mark.parametrize(
    "given",
    [
        (BEARER,),
        (X,),
        (BEARER, X),
        (BEARER, ("x-api-key", "sk-none")),
        (X, ("authorization", "Bearer EMPTY")),
        (("authorization", "Basic dXNlcjpwYXNz"), X),
        (("authorization", f"bearer  {KEY} "),),
    ],
)
@pytest.mark.parametrize("required", [True, False])
async def test_a_key_of_ours_counts_whatever_dummy_stands_beside_it(
    given: tuple[tuple[str, str], ...], required: bool
) -> None:
    assert await desk(required=required).holder(headers(*given), "10.0.0.1") == RECORD


@pytest.mark.parametrize("required", [True, False])
async def test_two_keys_of_ours_that_differ_are_neither(required: bool) -> None:
    with pytest.raises(Unauthorised, match="two different API keys"):
        await desk(required=required).holder(headers(BEARER, ("x-api-key", OTHER)), "10.0.0.1")


@pytest.mark.parametrize("dummy", ["sk-none", "EMPTY", "none", "unused", "sk-ant-api03-x"])
async def test_a_dummy_is_none_where_no_key_is_needed_and_not_a_live_one_elsewhere(dummy: str) -> None:
    given = headers(("authorization", f"Bearer {dummy}"))
    assert await desk(required=False).holder(given, "10.0.0.1") is None
    with pytest.raises(Unauthorised, match="not a live one"):
        await desk().holder(given, "10.0.0.1")


@pytest.mark.parametrize(
    ("key", "fault"),
    [(OTHER, "not a live one"), (MISTYPED, "mistyped"), ("fp-", "mistyped"), (KEY[:-3], "mistyped")],
    ids=["unknown", "mistyped", "empty", "short"],
)
@pytest.mark.parametrize("required", [True, False])
async def test_what_is_meant_for_a_key_of_ours_and_is_none_says_why(key: str, fault: str, required: bool) -> None:
    with pytest.raises(Unauthorised, match=fault) as refused:
        await desk(required=required).holder(headers(("x-api-key", key)), "10.0.0.1")
    assert key not in refused.value.failure.message


async def test_a_request_without_a_key_is_no_try() -> None:
    guarded = desk(wrong_a_minute=1)
    for _ in range(5):
        with pytest.raises(Unauthorised, match="no API key"):
            await guarded.holder(headers(), "10.0.0.1")


def test_an_address_that_tried_too_many_has_to_wait_and_another_has_not() -> None:
    clock = Clock()
    tries = Tries(3, clock)
    for _ in range(3):
        tries.begin("10.0.0.1")
    with pytest.raises(RateLimited) as refused:
        tries.begin("10.0.0.1")
    assert refused.value.failure.retry_after_seconds == 20
    tries.begin("10.0.0.2")
    clock.seconds = 20.0
    tries.begin("10.0.0.1")


def test_a_key_that_was_right_costs_nothing_until_it_is_wrong() -> None:
    tries = Tries(1, Clock())
    for _ in range(5):
        tries.begin("10.0.0.1")
        tries.was_right(KEY, "10.0.0.1")
    assert tries.is_right(KEY)
    tries.was_wrong(KEY)
    assert not tries.is_right(KEY)


def test_what_is_remembered_of_addresses_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "REMEMBERED", 10)
    tries = Tries(1, Clock())
    for number in range(100):
        tries.begin(f"10.0.0.{number}")
        tries.was_right(f"fp-{number}", "10.0.1.1")
    assert len(tries._wrong) == len(tries._right) == 10
    with pytest.raises(RateLimited):
        tries.begin("10.0.0.99")


async def test_wrong_keys_at_once_are_no_more_than_one_after_the_other() -> None:
    looked_at = 0

    async def find(key: str) -> KeyRecord | None:
        nonlocal looked_at
        looked_at += 1
        await asyncio.sleep(0.01)
        return RECORD if key == KEY else None

    front, others = Credentials(find, required=True, wrong_a_minute=10), [mint("x", b"p", 1.0)[0] for _ in range(40)]
    asked = [front.holder(headers(("x-api-key", key)), "10.0.0.1") for key in others]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert looked_at == 10 and sum(isinstance(end, RateLimited) for end in ends) == 30
    waits = [end.failure.retry_after_seconds for end in ends if isinstance(end, RateLimited)]
    assert max(waits) <= 6


async def test_a_right_key_that_comes_forty_times_at_once_is_looked_at_once_and_never_refused() -> None:
    looked_at = 0

    async def find(key: str) -> KeyRecord | None:
        nonlocal looked_at
        looked_at += 1
        await asyncio.sleep(0.01)
        return RECORD

    front = Credentials(find, required=True, wrong_a_minute=10)
    found = await asyncio.gather(*(front.holder(headers(X), "10.0.0.1") for _ in range(40)))
    assert found == [RECORD] * 40 and looked_at == 1


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
    ],
)
def test_who_may_choose_any_address_of_a_network_is_one_caller(address: str, other: str, same: bool) -> None:
    assert (network_of(address) == network_of(other)) is same


def test_every_route_belongs_to_one_group_of_scopes() -> None:
    grouped = {path: group_of(path) for _, path in OPERATIONS}
    assert {path for path, group in grouped.items() if group is None} == OPEN_PATHS
    assert {*grouped.values(), "openapi", None} == {*GROUPS, None}


@pytest.mark.parametrize("path", ["/v1", "/v1/model", "/v1/chat", "/v1/modelsx", "/v1/responsesx/1", "//infer", ""])
def test_a_path_that_only_looks_like_a_route_is_in_no_group(path: str) -> None:
    assert group_of(path) is None
