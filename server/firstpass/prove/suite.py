"""The work that a proof watches: every API, faults and restarts, phase by phase. It counts nothing."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from firstpass.engine import guard
from firstpass.front import address, front, wait_until_ready
from firstpass.prove.plants import OUTSIDE, Leaky
from firstpass.prove.requests import PLAIN, Call, chat, response, summary
from firstpass.prove.seen import Phase
from firstpass.settings import Settings

AWAY_SECONDS = 0.3
AGAIN_SECONDS = 1.0
SETTLE_SECONDS = 0.3
"""For what a phase has left to do."""

VERIFIER = {"url": f"https://{OUTSIDE}/v1", "model": "somebody-elses", "api_key": "none"}


def phases(settings: Settings, data_dir: Path, planted: bool) -> Iterator[Phase]:
    """Each is yielded when its work is done; closing the iterator stops the server. Raises: FirstpassError."""
    with serving(enclosed(settings, data_dir, {}), planted) as client:
        yield Phase("start")
        for name, calls in PLAIN.items():
            yield settled(sent(client, name, calls))
        yield settled(kept_response(client))
        yield settled(gone_away(client))
        yield settled(killed_engine(client, settings.first_engine.start_deadline_seconds))
    yield settled(Phase("stop"))
    with serving(enclosed(settings, data_dir, {"verifier": VERIFIER}), planted) as client:
        yield settled(sent(client, "restart, with a hosted verifier and local-only", WITH_A_VERIFIER))


WITH_A_VERIFIER = (
    Call("/v1/chat/completions", chat()),
    Call("/v1/chat/completions", summary()),
    Call("/v1/chat/completions", summary(stream=True)),
    Call("/v1/chat/completions", chat(model="strong"), (403,)),
    Call("/v1/chat/completions", chat(model="strong", firstpass={"egress": "any"}), (403,)),
)


def enclosed(settings: Settings, data_dir: Path, further: Mapping[str, object]) -> Settings:
    """The engine and the model are the user's first; it shares the proof's network, so that it is counted too."""
    first = settings.first_engine
    own = first.model_dump(exclude_unset=True, exclude={"pinned", "idle_seconds"})
    engine = own | {"models_dir": settings.models_dir_of(first), "isolate": "off"}
    server = {"data_dir": data_dir, "port": 0, "allowed_startup_files": settings.server.allowed_startup_files}
    return Settings.model_validate({"engine": engine, "server": server, **further})


@contextmanager
def serving(settings: Settings, planted: bool) -> Iterator[httpx.Client]:
    """A whole server in a thread, and a client of it, once the engine is ready."""
    server = front(settings)
    if planted:
        server.config.app = Leaky(server.config.app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        url, seconds = address(server), settings.first_engine.start_deadline_seconds
        wait_until_ready(url, seconds)
        with httpx.Client(base_url=url, timeout=seconds, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


def settled(phase: Phase) -> Phase:
    time.sleep(SETTLE_SECONDS)
    return phase


def sent(client: httpx.Client, name: str, calls: tuple[Call, ...]) -> Phase:
    phase = Phase(name)
    for call in calls:
        note(phase, call, answer(client, call))
    return phase


def answer(client: httpx.Client, call: Call) -> httpx.Response:
    """The whole answer, stream or not."""
    if call.body is None:
        return client.get(call.path, headers=call.headers)
    headers = {"content-type": "application/json", **call.headers}
    if isinstance(call.body, bytes):
        return client.post(call.path, content=call.body, headers=headers)
    return client.post(call.path, json=call.body, headers=headers)


def note(phase: Phase, call: Call, answered: httpx.Response) -> None:
    phase.requests += 1
    if answered.status_code not in call.right:
        phase.wrong.append(f"{call.path}: {answered.status_code} {answered.text[:200]}")


def kept_response(client: httpx.Client) -> Phase:
    """Asked, looked up, continued and forgotten."""
    phase, create = Phase("a response that is kept"), Call("/v1/responses", response())
    made = answer(client, create)
    note(phase, create, made)
    if made.is_success:
        path = f"/v1/responses/{made.json()['id']}"
        following = Call("/v1/responses", response(previous_response_id=made.json()["id"]))
        for call in (Call(path), Call(f"{path}/input_items"), following):
            note(phase, call, answer(client, call))
        note(phase, Call(path), client.delete(path))
        gone = Call(path, right=(404,))
        note(phase, gone, answer(client, gone))
    return phase


def gone_away(client: httpx.Client) -> Phase:
    """Two clients that hang up, one while it waits and one in the middle of a stream; a third is answered."""
    phase = Phase("clients that go away", requests=2)
    long = chat(max_tokens=400, ignore_eos=True, stream=True)
    with contextlib.suppress(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=long | {"stream": False}, timeout=AWAY_SECONDS)
    with client.stream("POST", "/v1/chat/completions", json=long) as stream:
        next(stream.iter_raw())
    after = Call("/v1/chat/completions", chat())
    note(phase, after, answer(client, after))
    return phase


def killed_engine(client: httpx.Client, seconds: float) -> Phase:
    """Killed with signal 9 under a request; it is asked again until it is back."""
    phase, asked = Phase("an engine killed and back", requests=1), Call("/v1/chat/completions", chat())
    caller = threading.Thread(target=client.post, args=["/v1/chat/completions"], kwargs={"json": chat(max_tokens=400)})
    caller.start()
    time.sleep(AWAY_SECONDS)
    os.kill(engine_pid(), signal.SIGKILL)
    caller.join()
    deadline = time.monotonic() + seconds
    while (answered := answer(client, asked)).is_server_error and time.monotonic() < deadline:
        phase.requests += 1
        time.sleep(AGAIN_SECONDS)
    note(phase, asked, answered)
    return phase


def engine_pid() -> int:
    """Of the process that the engine's guards have started."""
    parent_of = dict(guard.parents())
    for pid in guard.descendants():
        if is_guard(parent_of.get(pid, 0)) and not is_guard(pid):
            return pid
    raise ProcessLookupError("there is no engine to kill")


def is_guard(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return guard.__file__.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return False
