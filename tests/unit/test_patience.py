"""How long a caller waits: as its client's headers say it, and not at all where they say nonsense."""

import pytest
from starlette.datastructures import Headers

from firstpass.dialect.patience import patience


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-stainless-timeout": "600"}, 600.0),
        ({"x-stainless-read-timeout": "2.5", "x-stainless-timeout": "600"}, 2.5),
        ({"x-envoy-expected-rq-timeout-ms": "1500"}, 1.5),
        ({"x-stainless-timeout": "NOT_GIVEN"}, None),
        ({"x-stainless-timeout": "None", "x-stainless-read-timeout": "nan"}, None),
        ({"x-stainless-timeout": "0", "x-stainless-read-timeout": "-1"}, None),
        ({"x-stainless-timeout": "inf"}, None),
        ({"x-stainless-timeout": "1e999"}, None),
    ],
)
def test_a_caller_s_patience_is_the_shortest_time_that_its_client_says(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert patience(Headers(headers)) == seconds
