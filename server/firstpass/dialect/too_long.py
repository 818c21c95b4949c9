"""What endpoints say to more tokens than a model holds, read: that it is this, and the numbers in it.

Knows no wire format and no error of ours. The words are those of OpenAI, Azure, vLLM, llama.cpp, Ollama, LM Studio,
transformers, text-generation-inference, SGLang, TensorRT-LLM, mistral.rs, Mistral, Google, xAI, Bedrock, Together and
Anthropic, from the sources of mistral.rs and transformers and from public issues, such as vllm-project/vllm#12165,
sgl-project/sglang#4048, lmstudio-ai/lmstudio-bug-tracker#237, huggingface/text-generation-inference#695,
anomalyco/opencode#11141 and #25231, ray-project/ray#65486.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Wrong = Literal["prompt", "answer", "both"]
"""What is too long: the prompt, the answer's limit whatever the prompt is, or the two together."""

KINDS = ("context_length_exceeded", "exceed_context_size", "context_window_exceeded", "context_too_long")
"""Endpoints' own words for this error, beside their message."""

WORDS = re.compile(
    r"context[ _](?:length|size|window|limit)|context the overflows|maximum context|max_model_len|max_total_tokens"
    r"|max_seq_len|n_ctx|maximum (?:model|prompt|allowed|sequence) length|maximum number of tokens allowed"
    r"|(?:prompt|input|request)(?: is)? too long|too (?:long|large) for (?:the|this|requested) model|too many tokens"
    r"|input tokens exceed|`inputs` (?:tokens \+|must have less)|max sequence length"
    r"|prompt sequence length is greater|input length of (?:decoder_)?input_ids"
    r"|reduce the length of the (?:messages|prompt|input)|input is too large to process"
)

NUMBER = r"(?<![0-9])([0-9][0-9,_]{0,14})"

LIMITS = (
    rf"max_model_len=(?:max_total_tokens=)?{NUMBER}",
    rf"max_total_tokens=?{NUMBER}",
    rf"> ?{NUMBER} maximum",
    rf"[0-9] \+ [0-9]{{1,15}} > {NUMBER}",
    rf"> {NUMBER}, which is the maximum",
    rf"supports at most {NUMBER}",
    rf"tokens[`'\"]?[^.0-9]{{0,40}}less than or equal to [`'\"]?{NUMBER}",
    rf"range of max_tokens (?:is|should be) \[[0-9]{{1,3}}, ?{NUMBER}",
    rf"\(inclusive\) to {NUMBER} \(exclusive\)",
    rf"n_ctx[ :=(]{{1,3}}{NUMBER}",
    rf"{NUMBER} maximum context",
    rf"(?:must be <=|must have less than|configured limit of) {NUMBER}",
    rf"maximum (?:model|prompt|allowed|sequence) length[^0-9]{{0,20}}{NUMBER}",
    rf"number of tokens allowed[^0-9]{{0,5}}{NUMBER}",
    rf"context[ _](?:length|size|window|limit)[^0-9]{{0,40}}{NUMBER}",
    rf"max sequence length[^0-9]{{0,20}}{NUMBER}",
    rf"sequence length is greater than {NUMBER}",
    rf"max_length`? is set to {NUMBER}",
    rf"tokens?, max(?:imum)? {NUMBER}",
)
PROMPTS = (
    rf"you passed {NUMBER} input",
    rf"{NUMBER} (?:tokens )?(?:in|from) (?:the (?:input )?messages|your prompt|the prompt|the input)",
    rf"{NUMBER} of text input",
    rf"messages resulted in {NUMBER}",
    rf"(?:prompt|input|request)(?: is)? too long[:( ]{{1,3}}{NUMBER}",
    rf"exceed context limit: {NUMBER}",
    rf"n_prompt_tokens[ :=]{{1,3}}{NUMBER}",
    rf"n_keep[ :=(]{{1,3}}{NUMBER}",
    rf"keep the first {NUMBER}",
    rf"given: {NUMBER}",
    rf"(?:prompt|request) contains (?:at least )?{NUMBER} (?:input )?tokens",
    rf"(?:prompt|request) has {NUMBER} (?:input )?tokens",
    rf"(?:prompt|input|request) \((?:total )?(?:length )?{NUMBER}",
    rf"(?<!maximum )(?:prompt|input) length[^0-9]{{0,5}}{NUMBER}",
    rf"input token count[^0-9]{{0,5}}{NUMBER}",
    rf"input_ids is {NUMBER}",
)
TOOLS = re.compile(rf"{NUMBER} (?:tokens )?(?:in the functions|of tool input)")
"""What some count apart from the messages."""

ANSWERS = (
    rf"{NUMBER} (?:tokens )?(?:in|for) the (?:completion|output)",
    rf"{NUMBER} in the output",
    rf"requested {NUMBER} output tokens",
    rf"max_(?:completion_|output_|new_)?tokens={NUMBER}",
    rf"max_(?:completion_|output_|new_)?tokens['`\"]?[^.0-9]{{0,40}}too large: {NUMBER}",
    rf"and {NUMBER} `max_new_tokens`",
    rf"max_tokens: {NUMBER} >",
    rf"[0-9] \+ {NUMBER} >",
)

LIMIT_FIELD = re.compile(r"\bmax(?:[_ ](?:completion_|output_|new_)?|output)tokens\b", re.IGNORECASE)
ANSWER_ALONE = re.compile(
    r"(?<!\+ )(?<!\+ `)\bmax(?:[_ ](?:completion_|output_|new_)?|output)tokens['`\"]?[^.]{0,40}"
    r"(?:cannot be greater|too large|(?:must|should) be (?:<=|less|\[)|valid range|supported range)"
)


class Sizes(NamedTuple):
    """In tokens, as far as the words have them. limit: of prompt and answer together."""

    prompt: int | None
    answer: int | None
    limit: int | None


def is_too_long(message: str, kind: str = "") -> bool:
    """kind: the endpoint's own word for the error, or several."""
    return any(word in kind for word in KINDS) or WORDS.search(message.lower()) is not None


def sizes(message: str) -> Sizes:
    lowered = message.lower()
    prompt, tools = _first(PROMPTS, lowered), sum(map(_number, TOOLS.findall(lowered)))
    return Sizes(prompt and prompt + tools, _first(ANSWERS, lowered), _first(LIMITS, lowered))


def wrong(message: str) -> Wrong:
    """Of a message that is about this at all."""
    prompt, answer, limit = sizes(message)
    if limit is not None and prompt is not None and prompt >= limit:
        return "prompt"
    if limit is not None and answer is not None and answer >= limit:
        return "answer"
    if limit is not None and prompt is not None:
        return "both"
    return "answer" if prompt is None and ANSWER_ALONE.search(message.lower()) else "prompt"


def is_about_answer(message: str) -> bool:
    """Whether a shorter answer would have been no fault."""
    return (is_too_long(message) or names_limit(message)) and wrong(message) != "prompt"


def room(message: str) -> int | None:
    """For how long an answer there is room, in tokens, as far as the words have it.

    vLLM's "at least" is no size of the prompt: it is where it stopped to count (AIDotNet/OpenCowork#82).
    """
    prompt, _, limit = sizes(message)
    if limit is None or "at least" in message.lower():
        return None
    return limit - (prompt or 0) - ("(exclusive)" in message)


def names_limit(field: str | None) -> bool:
    """Whether an endpoint's field is the limit of an answer, by any of its names."""
    return field is not None and LIMIT_FIELD.search(field) is not None


def in_claude_s_words(message: str) -> str:
    """What the Anthropic API says to it, by which its clients know that a chat has to become shorter."""
    prompt, answer, limit = sizes(message)
    if prompt is not None and limit is not None and prompt > limit:
        return f"prompt is too long: {prompt} tokens > {limit} maximum"
    if None not in (prompt, answer, limit):
        more = "decrease input length or `max_tokens` and try again"
        return f"input length and `max_tokens` exceed context limit: {prompt} + {answer} > {limit}, {more}"
    return message if message.lower().startswith("prompt is too long") else f"prompt is too long: {message}"


def _first(patterns: Sequence[str], lowered: str) -> int | None:
    for pattern in patterns:
        if (match := re.search(pattern, lowered)) is not None:
            return _number(match[1])
    return None


def _number(written: str) -> int:
    return int(written.replace(",", "").replace("_", ""))
