"""Images in a real vLLM: a small model that sees, with random weights, so that what it says of one means nothing.

Idefics3, since its processor and vLLM's model need no torchvision, which our CPU lock leaves out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.unit.test_images import made
from tests.vllm.conftest import living

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    AutoTokenizer,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil  # noqa: E402

from tests.vllm.architectures import TOKENIZER_DIR  # noqa: E402

pytestmark = pytest.mark.vllm

MARKS = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
SIDE, PATCH = 28, 14
IMAGE_TOKENS = (SIDE // PATCH) ** 2 + 3
"""A token a patch, and three that mark where the image begins and ends."""

TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n"
    "{% if turn.content is string %}{{ turn.content }}{% else %}{% for part in turn.content %}"
    "{{ part.text if part.type == 'text' else '<image>' }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n"
)
ASKED = {"type": "text", "text": "What is it?"}


def save(directory: Path) -> Path:
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER_DIR)
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        head_dim=64,
        max_position_embeddings=2048,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    seen = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = seen | {"image_size": SIDE, "patch_size": PATCH}
    image, padding = tokenizer.convert_tokens_to_ids("<image>"), tokenizer.pad_token_id
    config = Idefics3Config(
        text_config=text, vision_config=vision, image_token_id=image, scale_factor=1, pad_token_id=padding
    )
    torch.manual_seed(0)
    Idefics3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(directory)
    edge = {"longest_edge": SIDE}
    shown = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    whole = Idefics3Processor(shown, tokenizer, image_seq_len=(SIDE // PATCH) ** 2, chat_template=TEMPLATE)
    whole.save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """That it takes images is read in its config.json: no setting says so."""
    directory = save(tmp_path_factory.mktemp("models") / "seeing")
    with living(tmp_path_factory.mktemp("data"), FIRSTPASS_ENGINE__MODEL=str(directory)) as live:
        yield live.url


def picture(data: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def test_a_model_that_sees_is_shown_images(url: str) -> None:
    """One image is seven tokens of its prompt, and another image makes other numbers."""
    black, white = made("PNG"), made("PNG", colour="white")

    def asked(*parts: dict[str, Any]) -> tuple[int, list[float]]:
        turns: Any = [{"role": "user", "content": [ASKED, *parts]}]
        answer = sdk.chat.completions.create(model="local", messages=turns, max_tokens=4, temperature=0, logprobs=True)
        assert answer.usage and answer.choices[0].logprobs and answer.choices[0].logprobs.content
        return answer.usage.prompt_tokens, [round(one.logprob, 3) for one in answer.choices[0].logprobs.content]

    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=60) as sdk:
        (words, _), dark, light, again = asked(), asked(picture(black)), asked(picture(white)), asked(picture(black))
        two, _ = asked(picture(black), picture(white))
    assert dark[0] == light[0] == words + IMAGE_TOKENS and two == words + 2 * IMAGE_TOKENS
    assert dark == again and dark[1] != light[1]


def test_what_a_tool_read_is_shown_too(url: str) -> None:
    block: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": made("PNG")}}
    use: Any = {"type": "tool_use", "id": "t", "name": "look", "input": {}}

    def counted(*content: Any) -> int:
        result: Any = {"type": "tool_result", "tool_use_id": "t", "content": list(content)}
        turns: Any = [("user", "Look."), ("assistant", [use]), ("user", [result])]
        said: Any = [{"role": role, "content": content} for role, content in turns]
        return sdk.messages.create(model="local", max_tokens=4, messages=said).usage.input_tokens

    with anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0, timeout=60) as sdk:
        assert counted(block, block) - counted(block) > IMAGE_TOKENS
