"""Runs transformers' own command line with its server on a Unix socket, which it has no option for, and mends it.

    python -P on_socket.py SOCKET serve MODEL --host 192.0.2.1 ...

It is run by its path, as the guard is: the package may lie where the engine's Python does not look. Its server asks
uvicorn for a TCP port (transformers 5.19, cli/serve.py: uvicorn.Config(app, host=..., port=...)); uvicorn takes the
socket first where both are named. Should a later version go another way, NO_HOST makes it fail rather than listen.

What is mended of transformers 5.19 (cli/serving/utils.py; a version without these names is left as it is):
- it goes on generating for a caller who has left: here a request ends with its caller;
- its batches decode every request as the first one wanted it: here each has its own temperature, top_p and top_k;
- its templates for reading answers go by the model's type, and take the prompt for text where the chat template is
  another than that type's: here such a template is not used.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

NO_HOST = "192.0.2.1"
"""No machine has this address (RFC 5737), so nothing can listen on it."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def with_its_caller(app: App) -> App:
    """The application, each of whose requests is cancelled when its caller goes."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        heard: asyncio.Queue[Message] = asyncio.Queue()
        work = asyncio.ensure_future(app(scope, heard.get, send))
        listening = asyncio.ensure_future(_listen(receive, heard))
        try:
            await asyncio.wait((work, listening), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
        finally:
            work.cancel()
            listening.cancel()
        return None if work.cancelled() else work.result()

    return serve


async def _listen(receive: Receive, heard: asyncio.Queue[Message]) -> None:
    """Until the caller goes. Bodies are small enough to wait in memory: the front has bounded them."""
    while True:
        message = await receive()
        heard.put_nowait(message)
        if message["type"] == "http.disconnect":
            return


def mend(serving: Any, batching: Any) -> None:
    """serving: transformers.cli.serving.utils. batching: transformers.generation.continuous_batching.continuous_api."""
    handler, manager = serving.BaseHandler, serving.CBGenerateManager
    configure, template_of = handler._build_generation_config, serving.get_response_template
    begin, whole = manager.init_cb, manager.generate_non_streaming
    add = batching.ContinuousBatchingManager.add_request
    wanted: ContextVar[dict[str, float | int]] = ContextVar("wanted")

    def configured(self: Any, body: Message, *more: Any, **named: Any) -> Any:
        """Who names a temperature or a top_p wants its tokens drawn."""
        config = configure(self, body, *more, **named)
        if body.get("temperature") or (body.get("temperature") is None and body.get("top_p") is not None):
            config.do_sample = True
        return config

    def begun(self: Any, model: Any, config: Any) -> None:
        """With every warper there is, so that each request can set its own."""
        wanted.set(decoding(config, model.config.get_text_config().vocab_size))
        shared = deepcopy(config)
        shared.do_sample, shared.temperature, shared.top_p, shared.top_k = True, 0.9, 0.9, 50
        self._cb_config.per_request_processors = True
        begin(self, model, shared)

    async def written(self: Any, model: Any, processor: Any, inputs: Any, config: Any, request_id: str) -> Any:
        try:
            return await whole(self, model, processor, inputs, config, request_id=request_id)
        except asyncio.CancelledError:
            self._cb.cancel_request(request_id)
            raise

    def added(self: Any, *positional: Any, **named: Any) -> Any:
        return add(self, *positional, **named, **wanted.get({}))

    def template(processor: Any, model: Any) -> Any:
        found = template_of(processor, model)
        return found if found is None or fits(found, processor) else None

    handler._build_generation_config, serving.get_response_template = configured, template
    manager.init_cb, manager.generate_non_streaming = begun, written
    batching.ContinuousBatchingManager.add_request = added


def decoding(config: Any, vocabulary: int) -> dict[str, float | int]:
    """A request's own words for the warpers. A temperature of 0 leaves the likeliest token alone."""
    if not config.do_sample or config.temperature == 0.0:
        return {"temperature": 1.0, "top_p": 1.0, "top_k": 1}
    temperature = 1.0 if config.temperature is None else float(config.temperature)
    top_p = 1.0 if config.top_p is None else float(config.top_p)
    return {"temperature": temperature, "top_p": top_p, "top_k": min(config.top_k or vocabulary, vocabulary)}


def fits(template: dict[str, Any], processor: Any) -> bool:
    """Whether the model's own chat template ends a prompt as this one says that a reply begins."""
    anchors = template.get("start_anchor")
    if anchors is None:
        return True
    turns = [{"role": "user", "content": "x"}]
    prompt = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return any(anchor in prompt for anchor in ([anchors] if isinstance(anchors, str) else anchors))


def main(socket: str, arguments: list[str]) -> None:
    import uvicorn
    from transformers.cli.transformers import main as command_line

    class OnSocket(uvicorn.Config):
        def __init__(self, app: Any, **options: Any) -> None:
            super().__init__(with_its_caller(app), **options | {"uds": socket})

    uvicorn.Config = OnSocket  # type: ignore[assignment, misc]
    try:
        from transformers.cli.serving import utils
        from transformers.generation.continuous_batching import continuous_api
    except ImportError:
        print("this version of transformers is not known: it is run as it is", file=sys.stderr)
    else:
        mend(utils, continuous_api)
    sys.argv = ["transformers", *arguments]
    command_line()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
