"""Large bodies are read off the event loop, one at a time, and only so many wait for it."""

import asyncio
import threading

import pytest

from firstpass.errors import BadAsk, Busy, Overloaded
from firstpass.web.reading import INLINE_BYTES, KEY_LIMIT, WAITING_LIMIT, Reading

LARGE = b" " * (INLINE_BYTES + 1)


async def test_a_large_body_is_read_on_another_thread_and_a_small_one_on_this() -> None:
    reading, here = Reading(), threading.get_ident()
    assert await reading.read(b"{}", None, threading.get_ident) == here
    assert await reading.read(LARGE, None, threading.get_ident) != here


async def test_a_fault_of_a_large_body_is_the_caller_s_as_that_of_a_small_one() -> None:
    def fail() -> None:
        raise BadAsk("no", param="x")

    for raw in (b"{}", LARGE):
        with pytest.raises(BadAsk):
            await Reading().read(raw, None, fail)


async def test_more_large_bodies_than_may_wait_are_told_to_come_again() -> None:
    """A caller that leaves gives its place back only when its body is out of memory."""
    reading, go_on = Reading(), threading.Event()
    there = [asyncio.ensure_future(reading.read(LARGE, None, go_on.wait)) for _ in range(WAITING_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await reading.read(LARGE, None, go_on.wait)
    assert await reading.read(b"{}", None, str, 1) == "1"
    there[0].cancel()
    go_on.set()
    await asyncio.gather(*there, return_exceptions=True)
    assert await reading.read(LARGE, None, str, 1) == "1"


async def test_one_key_takes_no_more_than_half_of_the_places_and_each_is_told_whose_load_it_is() -> None:
    reading, go_on = Reading(), threading.Event()

    def there(key: str) -> list["asyncio.Future[bool]"]:
        return [asyncio.ensure_future(reading.read(LARGE, key, go_on.wait)) for _ in range(KEY_LIMIT)]

    first = there("hog")
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await reading.read(LARGE, "hog", go_on.wait)
    second = there("one")
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await reading.read(LARGE, "other", go_on.wait)
    go_on.set()
    await asyncio.gather(*first, *second)
    assert await reading.read(LARGE, "hog", str, 1) == "1" and not reading._there["one"]
