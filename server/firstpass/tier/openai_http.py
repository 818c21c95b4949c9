"""Asks a model that speaks the OpenAI HTTP API, local or hosted. Knows no policy: the door decides what may go."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from firstpass.client import Response
from firstpass.dialect.openai.read_reply import OpenAIStream, call_prefix, whole_from_llama, whole_reply
from firstpass.dialect.openai.restore import OpenAIRestoring
from firstpass.dialect.openai.write_request import MaxTokensName, body_of, refuse_redacted
from firstpass.dialect.thinking import for_thinking, with_effort
from firstpass.dialect.values import wire_error
from firstpass.errors import BadAsk, Failure, FirstpassError
from firstpass.exchange import Ask, Kind, Reply, TierName
from firstpass.tier import Door, Listener
from firstpass.tier.again import nearest, until_taken
from firstpass.tier.failures import no_embeddings, refusal
from firstpass.tier.http import UNBOUND, Call, Format, ReplyBounds
from firstpass.tier.left_out import says_something
from firstpass.tier.one_system import is_strewn, refuses_place, with_one_system
from firstpass.tier.template import Template

PATHS: Mapping[Kind, str] = {"chat": "chat/completions", "completion": "completions", "embedding": "embeddings"}


@dataclass(slots=True)
class OpenAITier:
    """part: how this tier is called in errors and records. bounds: what a reply may take.

    max_tokens_name: how the endpoint calls the limit of an answer; OpenAI's newer models want the longer name.
    thinks: its model thinks before it answers, see `thinking`. template: what is known of its chat template.
    """

    part: TierName
    door: Door
    bounds: ReplyBounds = UNBOUND
    max_tokens_name: MaxTokensName = "max_tokens"
    thinks: bool = False
    template: Template = field(default_factory=Template)

    async def reply(self, ask: Ask, listener: Listener) -> Reply:
        model = await self.door.model()
        self._check(ask)
        asked = with_effort(for_thinking(ask)) if self.thinks else ask
        asked = await self.template.fitted(asked, model)

        def milder(refused: Ask, failure: Failure) -> Ask | None:
            if is_strewn(refused) and refuses_place(failure.message):
                return with_one_system(refused)
            return nearest(refused, failure, listener)

        taken, reply = await until_taken(asked, lambda ask: self._call(ask, model, listener).reply(listener), milder)
        if taken is not asked and is_strewn(asked) and not is_strewn(taken):
            self.template.refused(model)
        return reply

    def _call(self, ask: Ask, model: str, listener: Listener) -> Call:
        able, streams, watched = self.door.able, listener.streaming, listener.watching
        body = body_of(ask, model, able, stream=streams, watched=watched, max_tokens_name=self.max_tokens_name)
        whole = whole_from_llama if able.llama else whole_reply
        form = Format(PATHS[ask.kind], _awaited(ask), whole, _reading, OpenAIRestoring)
        return Call(self.part, self.door, self.bounds, ask, form, body, {}, self._refusal)

    def _check(self, ask: Ask) -> None:
        """Raises: BadAsk for what this endpoint can not take, and would not miss.

        A score goes to any endpoint: one that is no vLLM shows it by its answer.
        """
        able = self.door.able
        if ask.kind == "chat" and not able.chats:
            text = f"the {self.part} model has no chat template, so it takes no messages; /v1/completions needs none"
            raise BadAsk(text, part=self.part, param="messages", code="no_chat_template")
        if ask.logprobs_required and not able.logprobs:
            raise BadAsk(f"the {self.part} model gives no logprobs", part=self.part, param="logprobs")
        if ask.continues and not (able.vllm or able.llama or ask.scored):
            text = f"the {self.part} model can not go on with an assistant's begun message"
            raise BadAsk(text, part=self.part, param="messages")
        for name in able.leaves_out:
            if name not in ask.wishes and says_something(ask.sampling, name):
                text = f"the {self.part} model can not be asked for {name}: its server leaves it out"
                raise BadAsk(text, part=self.part, param=name)
        refuse_redacted(ask, self.part)

    def _refusal(self, ask: Ask, response: Response, body: bytes) -> FirstpassError:
        if ask.kind == "embedding" and response.status in (404, 405, 501):
            return no_embeddings(self.part)
        return refusal(self.part, ask, response, wire_error(body))


def _reading(ask: Ask) -> OpenAIStream:
    tools = {tool.name for tool in ask.sampling.tools or ()}
    return OpenAIStream(wants_usage=ask.include_usage, tools=tools, prefix=call_prefix(ask))


def _awaited(ask: Ask) -> str:
    if ask.scored:
        return "chat completion with prompt_logprobs"
    return {"chat": "chat completion", "completion": "completion", "embedding": "list of embeddings"}[ask.kind]
