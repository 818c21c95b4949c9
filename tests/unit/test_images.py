"""Images that a model takes go to it from every dialect and in every one, in their places, and only as bytes."""

import base64
import json
import struct
import time
import zlib
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from pydantic_core import PydanticCustomError
from starlette.datastructures import Headers

from firstpass.chat import Abilities, Image, Message, Sampling, ToolCall, joined
from firstpass.dialect.anthropic import read_request as anthropic_in
from firstpass.dialect.anthropic import write_request as anthropic_out
from firstpass.dialect.images import of_base64, of_url
from firstpass.dialect.openai import read_request as openai_in
from firstpass.dialect.openai import write_request as openai_out
from firstpass.dialect.openai.read_request import Caller
from firstpass.dialect.responses import items
from firstpass.dialect.responses import read_request as responses_in
from firstpass.errors import BadAsk
from firstpass.exchange import Answer, Ask, Consult, Exchange, Reply, Step
from firstpass.house import House
from firstpass.store.codec import decode, encode, forgotten
from firstpass.tier.one_system import with_one_system
from tests.machine import LINEAR, growth

HOUSE = House({"local": "local", "blind": "cascade"}, {"free": "free@1"}, "local-only", seeing=frozenset({"local"}))
CALLER = Caller(Headers({}), None)
VLLM = Abilities(logprobs=True, vllm=True)


def made(form: str, side: int = 2, colour: str = "black") -> str:
    octets = BytesIO()
    Pillow.new("RGB", (side, 1), colour).save(octets, form)
    return base64.b64encode(octets.getvalue()).decode()


PNG, GIF = made("PNG"), made("GIF")
SEEN, OTHER = Image("image/png", PNG), Image("image/gif", GIF)
USE = ToolCall("c", "look", "{}")


def block(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def part(url: str, **more: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


def messages(*turns: Any, model: str = "local") -> Ask:
    body = {"model": model, "max_tokens": 9, "messages": list(turns)}
    return anthropic_in.messages(json.dumps(body).encode(), CALLER, HOUSE)


def chat(*turns: Any, model: str = "local", **more: Any) -> Ask:
    body = {"model": model, "messages": list(turns)} | more
    return openai_in.chat(json.dumps(body).encode(), CALLER, HOUSE)


async def response(given: Any, earlier: Exchange | None = None, model: str = "local") -> Ask:
    async def recall(exchange_id: str, key: str | None) -> Exchange:
        assert earlier is not None
        return earlier

    body: dict[str, Any] = {"model": model, "input": given}
    body |= {"previous_response_id": f"resp_{earlier.ask.id}"} if earlier else {}
    return await responses_in.responses(json.dumps(body).encode(), CALLER, HOUSE, recall, 10_000)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_an_image_has_its_place_among_the_words() -> None:
    ask = messages(user(text("This"), block(PNG), text("or that"), block(GIF, "image/gif")))
    assert ask.messages == (Message("user", "Thisor that", images=(replace(SEEN, at=4), replace(OTHER, at=11))),)
    ask = chat(user(part(SEEN.url, detail="low"), text("What?")))
    assert ask.messages == (Message("user", "What?", images=(replace(SEEN, detail="low"),)),)
    assert list(ask.messages[0].parts) == [replace(SEEN, detail="low"), "What?"]


async def test_items_of_a_response_have_images_and_so_have_results() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    shown = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": SEEN.url, "detail": "high"}]
    output = {"type": "function_call_output", "call_id": "c", "output": [shown[1]]}
    ask = await response([{"role": "user", "content": shown}, call, output])
    assert [message.images for message in ask.messages] == [
        (replace(SEEN, at=1, detail="high"),),
        (),
        (replace(SEEN, detail="high"),),
    ]
    written = items.input_items(ask)
    assert written[0]["content"] == shown and written[2]["output"] == [shown[1]]
    assert (await response(written)).messages == ask.messages


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_is_of_the_type_that_its_bytes_are(form: str) -> None:
    ask = messages(user(block(made(form), "image/png")))
    assert ask.messages[0].images[0].media_type == f"image/{form.lower()}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://example.com/a.png", "nothing here fetches"),
        ("file:///etc/passwd", "nothing here fetches"),
        ("data:image/png,abc", "nothing here fetches"),
        ("data:image/png;base64,aGk=", "base64 of a PNG"),
        ("data:image/png;base64,%%", "base64 of a PNG"),
        ("data:image/png;base64,é", "base64 of a PNG"),
        (f"data:image/png;base64,{PNG[:20]}", "base64 of a PNG"),
        (f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}", "base64 of a PNG"),
        (f"data:image/bmp;base64,{made('BMP')}", "base64 of a PNG"),
        (f"data:image/png;base64,{made('PNG', 8001)}", "over 8000 pixels"),
    ],
)
async def test_what_is_no_image_is_an_error_where_it_is_new_and_a_text_where_it_is_old(url: str, says: str) -> None:
    with pytest.raises(BadAsk, match=says) as error:
        chat(user(text("a"), part(url)))
    assert error.value.failure.param == "messages.0.content.1.image_url.url"
    with pytest.raises(BadAsk, match=says) as error:
        await response([user({"type": "input_image", "image_url": url})])
    assert error.value.failure.param == "input.0.content.0.image_url"
    ask = chat(user(text("a"), part(url)), user(text("b")))
    assert ask.messages[0].content == "a[an image was here; it can not be passed on]"
    assert ask.ignored == ("messages.0.content.1",)


def animated(form: str) -> str:
    octets = BytesIO()
    frames = [Pillow.new("RGB", (2, 1), colour) for colour in ("black", "white")]
    frames[0].save(octets, form, save_all=True, append_images=frames[1:])
    return base64.b64encode(octets.getvalue()).decode()


@pytest.mark.parametrize(("form", "media_type"), [("PNG", "image/png"), ("MPO", "image/jpeg"), ("WEBP", "image/webp")])
def test_more_than_one_picture_in_an_image_gives_it_no_type_that_no_host_takes(form: str, media_type: str) -> None:
    """Phones write MPO. Pillow calls the first image/apng."""
    assert of_base64(animated(form)).media_type == media_type


def test_lines_and_capitals_are_no_fault_of_an_image() -> None:
    broken = "\r\n".join(PNG[at : at + 20] for at in range(0, len(PNG), 20))
    assert of_url(f"DATA:image/png;BASE64,{broken}") == SEEN


def test_what_a_png_has_beside_its_size_is_not_unpacked() -> None:
    """3,000 colour profiles, each of a kilobyte that unpacks to a megabyte, took 4 s."""
    octets, profile = base64.b64decode(PNG), b"a\0\0" + zlib.compress(bytes(2**20), 9)

    def took(kind: bytes) -> float:
        chunk = struct.pack(">I", len(profile)) + kind + profile + struct.pack(">I", zlib.crc32(kind + profile))
        data = base64.b64encode(octets[:33] + chunk * 200 + octets[33:]).decode()
        times = []
        for _ in range(5):
            started = time.thread_time()
            of_base64(data)
            times.append(time.thread_time() - started)
        return min(times)

    assert took(b"iCCP") < 5 * took(b"prVt"), "a chunk that nobody reads takes no time but its decoding"


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "image_url", "image_url": SEEN.url},
        {"type": "image_url", "image_url": {"url": SEEN.url, "format": "png"}},
        {"type": "image_url", "image_url": {"url": SEEN.url, "detail": "ultra"}},
    ],
)
def test_an_image_in_another_form_is_a_fault_where_it_is_new_alone(odd: dict[str, Any]) -> None:
    with pytest.raises(BadAsk):
        chat(user(odd))
    assert chat(user(odd), user(text("b"))).ignored == ("messages.0.content.0",)


def test_an_image_needs_no_media_type() -> None:
    source = {"type": "base64", "data": PNG}
    assert messages(user({"type": "image", "source": source})).messages[0].images == (SEEN,)


@pytest.mark.parametrize("between", ["", "\n"])
def test_the_time_of_joining_grows_with_the_parts(between: str) -> None:
    assert growth(lambda parts: joined(["\N{GRINNING FACE}", *["x" * 40] * parts], between), 10_000) < LINEAR


def test_the_time_of_making_turns_one_grows_with_the_turns() -> None:
    def made_one(turns: int) -> Ask:
        said = [Message("user", "x" * 400), Message("system", "s")] * turns
        return with_one_system(Ask("ex_1", 0.0, "chat", "local", "local", tuple(said)))

    assert growth(made_one, 2_000) < LINEAR


def test_an_image_from_elsewhere_is_named_by_its_place_in_anthropic_s_dialect() -> None:
    with pytest.raises(BadAsk, match="should be 'base64'") as error:
        messages(user({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}))
    assert error.value.failure.param == "messages.0.content.0.source.type"


def test_a_part_of_a_type_that_is_not_here_is_named_with_those_that_are() -> None:
    with pytest.raises(BadAsk) as error:
        chat(user({"type": "video_url", "video_url": {"url": "x"}}))
    failure = error.value.failure
    assert failure.message == "messages.0.content.0.type: 'video_url' is none of text, image_url"
    assert failure.param == "messages.0.content.0.type"


def test_a_document_is_no_image() -> None:
    paper = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}}
    with pytest.raises(BadAsk, match="document is not supported; this model reads text and images alone"):
        messages(user(paper))


def test_a_few_bytes_can_not_make_an_engine_unpack_a_huge_image() -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)
    octets = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + b"\0\0\0\0" + b"\0\0\0\0IDAT\0\0\0\0"
    with pytest.raises(PydanticCustomError):
        of_base64(base64.b64encode(octets).decode())


@given(st.binary(max_size=60), st.sampled_from(["PNG", "JPEG", "GIF", "WEBP"]), st.integers(0, 40))
def test_no_bytes_make_the_reading_fail_in_another_way(noise: bytes, form: str, at: int) -> None:
    octets = base64.b64decode(made(form))
    for tried in (noise, octets[:at] + noise + octets[at:], octets[:at] + noise):
        try:
            assert of_url(f"data:;base64,{base64.b64encode(tried).decode()}").media_type.startswith("image/")
        except PydanticCustomError:
            continue


def test_what_a_tool_shows_comes_behind_the_results_for_openai() -> None:
    """A tool's message is a text there. The numbers say which image is whose."""
    uses = (USE, replace(USE, id="d"))
    results = (
        Message("tool", "a", tool_call_id="c", images=(replace(SEEN, at=1), replace(OTHER, at=1))),
        Message("tool", "", tool_call_id="d", images=(SEEN,)),
    )
    said = (Message("user", "Look."), Message("assistant", "", tool_calls=uses), *results)
    for after in ((), (Message("user", "And?"),), (Message("system", "s"), Message("user", "And?"))):
        written = written_for_openai((*said, *after))
        assert [turn["content"] for turn in written[2:4]] == [
            "a[image 1 behind the results][image 2 behind the results]",
            "[image 3 behind the results]",
        ]
        shown = [part(SEEN.url), part(OTHER.url), part(SEEN.url)]
        more = [text("And?")] if len(after) == 1 else []
        assert written[4] == {"role": "user", "content": shown + more}
        assert [turn["role"] for turn in written[5:]] == [message.role for message in after[len(more) :]]


def written_for_openai(said: tuple[Message, ...]) -> list[dict[str, Any]]:
    ask = Ask("ex_1", 0.0, "chat", "local", "local", said)
    raw = openai_out.body_of(ask, "m", VLLM, stream=False, watched=False, max_tokens_name="max_tokens")
    found: list[dict[str, Any]] = json.loads(raw)["messages"]
    assert json.loads(openai_out.prompt_of(ask, "m"))["messages"] == found
    return found


words = st.text(st.characters(codec="utf-8"), max_size=4)
images = st.sampled_from([SEEN, OTHER])
shown = st.lists(words | images, min_size=1, max_size=5).map(lambda parts: joined(parts))
turns = shown.map(lambda found: Message("user", found[0], images=found[1]))
results = shown.map(lambda found: Message("tool", found[0], tool_call_id="c", images=found[1]))


@given(st.lists(turns, min_size=1, max_size=3))
def test_a_chat_with_images_is_read_from_openai_s_wire_as_it_was_written(said: list[Message]) -> None:
    assert chat(*written_for_openai(tuple(said))).messages == tuple(said)


@given(st.lists(turns.filter(lambda turn: bool(turn.content.strip() or turn.images)) | results, min_size=1, max_size=4))
def test_and_from_anthropic_s_what_it_makes_of_one_it_makes_of_that_again(said: list[Message]) -> None:
    def through(ask: Ask) -> Ask:
        raw = anthropic_out.body_of(ask, "local", stream=False, system_turns=True, thinks=False)
        return anthropic_in.messages(raw, CALLER, HOUSE)

    ask = through(Ask("ex_1", 0.0, "chat", "local", "local", tuple(said), Sampling(max_tokens=9)))
    assert through(ask).messages == ask.messages
    count = sum(len(message.images) for message in said)
    assert sum(len(message.images) for message in ask.messages) == count


def test_turns_that_become_one_keep_their_images_in_their_places() -> None:
    first = Message("user", "a", images=(replace(SEEN, at=1),))
    second = Message("user", "bc", images=(replace(OTHER, at=1),))
    ask = Ask("ex_1", 0.0, "chat", "local", "local", (first, Message("system", "s"), second))
    (_, one) = with_one_system(ask).messages
    assert list(one.parts) == ["a", replace(SEEN, at=1), "\n\nb", replace(OTHER, at=4), "c"]


def test_a_speaker_s_name_stands_before_an_image() -> None:
    said = Message("user", "b", name="Kim", images=(SEEN,))
    ask = Ask("ex_1", 0.0, "chat", "local", "local", (said,))
    raw = anthropic_out.body_of(ask, "m", stream=False, system_turns=True, thinks=False)
    assert json.loads(raw)["messages"] == [user(text("Kim: "), block(PNG), text("b"))]


def test_a_contract_reads_text_alone_and_says_so() -> None:
    with pytest.raises(BadAsk, match="a contract reads text alone") as error:
        chat(user(text("diff"), part(SEEN.url)), firstpass={"contract": "free"})
    assert error.value.failure.param == "messages"


def test_the_record_keeps_images_unless_it_keeps_no_words() -> None:
    ask = messages(user(text("a"), block(PNG)))
    kept = decode(encode(Exchange(ask)))
    assert kept.ask.messages == ask.messages
    assert PNG not in encode(forgotten(kept))


async def test_an_image_of_the_record_is_a_text_for_a_model_that_takes_none() -> None:
    ask = replace(messages(user(text("a"), block(PNG))), dialect="responses")
    reply = Reply("A dot.", "m", "stop", None, 0.1)
    earlier = Exchange(ask, (Step(Consult("draft", "answer"), reply),), Answer(0, "draft"))
    assert (await response("Sure?", earlier)).messages[0].images
    gone_on = await response("Sure?", earlier, model="blind")
    assert gone_on.messages[0] == Message("user", "a[an image was here; this model reads text alone]")
    assert gone_on.ignored == ("previous_response_id",)


async def test_an_image_counts_for_what_a_request_may_have_from_the_record() -> None:
    large = replace(SEEN, data=SEEN.data + "A" * 10_000)
    ask = Ask("ex_1", 0.0, "chat", "local", "local", (Message("user", "a", images=(large,)),), dialect="responses")
    earlier = Exchange(ask, (Step(Consult("draft", "answer"), Reply("x", "m", "stop", None, 0.1)),), Answer(0, "draft"))
    with pytest.raises(BadAsk, match="over the limit"):
        await response("Sure?", earlier)
