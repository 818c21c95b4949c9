"""What the server is asked during a proof, and which status each has to be answered with. Sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DIFF = """diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -1,3 +1,5 @@
 def checkout(cart, user):
+    # TODO: refuse empty carts
+    order = createOrder(cart)
     check(user)
     return pay(user)
"""
WEATHER = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
OUTSIDE_URL = "https://pictures.example/cat.png"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
REFUSED = (400, 403, 404, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and the statuses that are right for it."""

    path: str
    body: Mapping[str, Any] | bytes | None = None
    right: tuple[int, ...] = (200,)
    headers: Mapping[str, str] = field(default_factory=dict)


def turn(text: Any = "Say hello.") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "local", "messages": turn(), "max_tokens": 8, "temperature": 0} | more


def summary(**more: Any) -> dict[str, Any]:
    return {"model": "firstpass", "messages": turn(DIFF), "firstpass": {"contract": "pr-summary"}} | more


def response(**more: Any) -> dict[str, Any]:
    return {"model": "local", "input": "Say hello.", "max_output_tokens": 16} | more


STREAM = {"stream": True}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "town", "schema": WEATHER}}


def image(url: str) -> list[dict[str, Any]]:
    return turn([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}])


PLAIN: Mapping[str, tuple[Call, ...]] = {
    "chat completions": (
        Call("/v1/chat/completions", chat()),
        Call("/v1/chat/completions", chat(**STREAM)),
        Call("/v1/chat/completions", chat(logprobs=True, top_logprobs=5), (200, 400)),
        Call("/v1/chat/completions", chat(response_format=SCHEMA, max_tokens=32), (200, 400)),
        Call("/v1/chat/completions", chat(model="firstpass")),
    ),
    "completions and embeddings": (
        Call("/v1/completions", {"model": "local", "prompt": "def add(", "max_tokens": 8}),
        Call("/v1/completions", {"model": "local", "prompt": "def add(", "max_tokens": 8, **STREAM}),
        Call("/v1/embeddings", {"model": "local", "input": "def add(a, b)"}, (200, *REFUSED)),
        Call("/infer", {"model": "local", "prompt": "def add(", "max_tokens": 8}),
    ),
    "responses": (
        Call("/v1/responses", response()),
        Call("/v1/responses", response(**STREAM)),
        Call("/v1/responses", response(store=False)),
        Call("/v1/responses/resp_of_nobody", None, (404,)),
    ),
    "messages": (
        Call("/v1/messages", chat()),
        Call("/v1/messages", chat(**STREAM)),
        Call("/v1/messages/count_tokens", {"model": "local", "messages": turn()}, (200, 404)),
    ),
    "a contract with a diff": (
        Call("/v1/chat/completions", summary()),
        Call("/v1/chat/completions", summary(**STREAM)),
        Call("/v1/chat/completions", summary(firstpass={"contract": "commit-message"})),
        Call("/v1/chat/completions", summary(firstpass={"contract": "code-review"})),
        Call("/v1/explain", summary()),
    ),
    "tools": (
        Call("/v1/chat/completions", chat(tools=[TOOL], max_tokens=64), (200, *REFUSED)),
        Call("/v1/chat/completions", chat(tools=[TOOL], max_tokens=64, **STREAM), (200, *REFUSED)),
        Call("/v1/messages", chat(tools=[{"name": "weather", "input_schema": WEATHER}]), (200, *REFUSED)),
    ),
    "images": (
        Call("/v1/chat/completions", chat(messages=image(PIXEL)), (200, *REFUSED)),
        Call("/v1/chat/completions", chat(messages=image(OUTSIDE_URL)), REFUSED),
    ),
    "errors": (
        Call("/v1/chat/completions", b"{", (400,)),
        Call("/v1/chat/completions", chat(messages=[]), REFUSED),
        Call("/v1/chat/completions", chat(surprise=1), (200, *REFUSED)),
        Call("/v1/chat/completions", chat(max_tokens=10**9), (200, *REFUSED)),
        Call("/v1/chat/completions", summary(firstpass={"contract": "none-of-that-name"}), REFUSED),
        Call("/v1/messages", {"model": "local"}, REFUSED),
        Call("/v1/nothing-here", {}, (404,)),
        Call("/v1/chat/completions", chat(), (400, 403, 421), {"host": "outside.example"}),
        Call("/v1/chat/completions", chat(), (400, 403), {"origin": "https://outside.example"}),
    ),
    "too large": (
        Call("/v1/chat/completions", b'"' + b"x" * (5 * 2**20) + b'"', (413,)),
        Call("/v1/chat/completions", chat(messages=turn("word " * 6_000)), (200, *REFUSED)),
    ),
    "what this server will not do": (
        Call("/v1/chat/completions", chat(model="strong"), REFUSED),
        Call("/v1/chat/completions", chat(firstpass={"egress": "any"}), (200, *REFUSED)),
        Call("/v1/messages", chat(model="strong"), REFUSED),
    ),
    "models, contracts, metrics": (
        Call("/v1/models"),
        Call("/v1/models/local"),
        Call("/v1/contracts"),
        Call("/metrics"),
        Call("/healthz"),
        Call("/readyz"),
    ),
}
