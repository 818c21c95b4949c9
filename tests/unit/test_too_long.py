"""What endpoints say to too many tokens, in their own words as public issues quote them."""

import pytest

from firstpass.dialect.too_long import Sizes, in_claude_s_words, is_too_long, sizes, wrong
from tests.machine import LINEAR, growth

OPENAI = "This model's maximum context length is 4097 tokens. However, your messages resulted in 13393 tokens."
OLD = "This model's maximum context length is 2049 tokens, however you requested 2054 tokens (2049 in your prompt; 5 for the completion)."  # noqa: E501
VLLM = "This model's maximum context length is 131072 tokens. However, you requested 131134 tokens (122942 in the messages, 8192 in the completion)."  # noqa: E501
VLLM_OUTPUT = "This model's maximum context length is 4096 tokens. However, you requested 4096 output tokens and your prompt contains 110 characters"  # noqa: E501
VLLM_LARGE = "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context length is 8080 tokens and your request has 20 input tokens (32000 > 8080 - 20)."  # noqa: E501
LM_STUDIO = "Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."  # noqa: E501
SGLANG = "Requested token count exceeds the model's maximum context length of 202752 tokens. You requested a total of 202941 tokens: 170941 tokens from the input messages and 32000 tokens for the completion."  # noqa: E501
TGI = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3474 `inputs` tokens and 60 `max_new_tokens`"  # noqa: E501
CLAUDE_SUM = "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length or `max_tokens` and try again"  # noqa: E501


@pytest.mark.parametrize(
    ("message", "found", "what"),
    [
        (OPENAI, (13393, None, 4097), "prompt"),
        (OLD, (2049, 5, 2049), "prompt"),
        ("Your input exceeds the context window of this model.", (None, None, None), "prompt"),
        (VLLM, (122942, 8192, 131072), "both"),
        (VLLM_OUTPUT, (None, 4096, 4096), "answer"),
        (VLLM_LARGE, (20, 32000, 8080), "answer"),
        ("max_tokens=32000 cannot be greater than max_model_len", (None, 32000, None), "answer"),
        ("max_tokens=8888 cannot be greater than max_model_len=max_total_tokens=3072.", (None, 8888, 3072), "answer"),
        (
            "max_completion_tokens=131072 cannot be greater than max_model_len=128000",
            (None, 131072, 128000),
            "answer",
        ),
        (
            "The decoder prompt (length 10127) is longer than the maximum model length of 8192.",
            (10127, None, 8192),
            "prompt",
        ),
        (
            "The prompt (total length 25938) is too long to fit into the model (context length 4096).",
            (25938, None, 4096),
            "prompt",
        ),
        (
            "this model's maximum context length is 512 tokens, but the prompt contains 600 input tokens",
            (600, None, 512),
            "prompt",
        ),
        (
            "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
            (9412, None, 8192),
            "prompt",
        ),
        (
            "the request exceeds the available context size. try increasing it (n_prompt_tokens 9, n_ctx 8)",
            (9, None, 8),
            "prompt",
        ),
        ("exceeds the available context size (4096 tokens)", (None, None, 4096), "prompt"),
        ("Context size has been exceeded.", (None, None, None), "prompt"),
        ("the input length exceeds the context length", (None, None, None), "prompt"),
        (LM_STUDIO, (15857, None, 4096), "prompt"),
        ("Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)", (15028, None, 7424), "prompt"),
        (TGI, (3474, 60, 2048), "prompt"),
        (
            "Input validation error: `inputs` must have less than 1024 tokens. Given: 1168",
            (1168, None, 1024),
            "prompt",
        ),
        (
            "The input (61709 tokens) is longer than the model's context length (40960 tokens).",
            (61709, None, 40960),
            "prompt",
        ),
        (SGLANG, (170941, 32000, 202752), "both"),
        (
            "Input length (160062 tokens) exceeds the maximum allowed length (59862 tokens).",
            (160062, None, 59862),
            "prompt",
        ),
        ("prompt is too long: 208310 tokens > 200000 maximum", (208310, None, 200000), "prompt"),
        (CLAUDE_SUM, (178959, 64000, 200000), "both"),
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            (40000, None, 32768),
            "prompt",
        ),
        (
            "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            (537812, None, 131072),
            "prompt",
        ),
        (
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            (1200000, None, 1048576),
            "prompt",
        ),
        ("prompt too long (570 tokens, max 508)", (570, None, 508), "prompt"),
        ("Input is too long for requested model.", (None, None, None), "prompt"),
        (
            "The input token count exceeds the maximum number of tokens allowed 1048576.",
            (None, None, 1048576),
            "prompt",
        ),
        (
            "Prompt sequence length is greater than 4096, perhaps consider using `truncate_sequence`?",
            (None, None, 4096),
            "prompt",
        ),
        ("the prompt is longer than the context length currently available to the model", (None, None, None), "prompt"),
        ("Input length of input_ids is 9, but `max_length` is set to 8.", (9, None, 8), "prompt"),
        ("Input token count + max_tokens parameter must be less than the context length", (None, None, None), "prompt"),
        (
            "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model",
            (None, None, 4096),
            "answer",
        ),
    ],
)
def test_the_numbers_and_the_fault_are_read(message: str, found: tuple[int | None, ...], what: str) -> None:
    assert is_too_long(message) and sizes(message) == Sizes(*found) and wrong(message) == what


@pytest.mark.parametrize(
    "message",
    [
        *("seed must be an integer", "max_tokens must be at least 1", "bad", "", "messages: at least one is required"),
        "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you gave 32000.",
        "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet",
        *("System message must be at the beginning.", "unknown field context", "temperature must be <= 2"),
    ],
)
def test_other_faults_are_not_this_one(message: str) -> None:
    assert not is_too_long(message)


@pytest.mark.parametrize("kind", ["exceed_context_size_error", "context_length_exceeded invalid_request_error"])
def test_an_endpoint_s_own_word_for_it_is_enough(kind: str) -> None:
    assert is_too_long("no", kind)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (OPENAI, "prompt is too long: 13393 tokens > 4097 maximum"),
        (LM_STUDIO, "prompt is too long: 15857 tokens > 4096 maximum"),
        (SGLANG, CLAUDE_SUM.replace("178959 + 64000 > 200000", "170941 + 32000 > 202752")),
        ("prompt is too long", "prompt is too long"),
        ("Context size has been exceeded.", "prompt is too long: Context size has been exceeded."),
    ],
)
def test_clients_of_the_anthropic_api_are_told_in_its_words(message: str, words: str) -> None:
    assert in_claude_s_words(message) == words


@pytest.mark.parametrize("text", ["max_tokens", "0", "context length ", "(", "> ", "1 + ", "prompt is too long:", " "])
def test_a_message_of_any_text_is_read_in_linear_time(text: str) -> None:
    def read(size: int) -> None:
        message = text * (size // len(text))
        is_too_long(message), sizes(message), wrong(message), in_claude_s_words(message)

    assert growth(read, 20_000) < LINEAR
