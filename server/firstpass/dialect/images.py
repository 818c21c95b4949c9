"""Images as all dialects write them: in base64, alone or in a data: URL. Nothing here fetches one from elsewhere."""

import binascii
import warnings
from io import BytesIO
from typing import Annotated, Any

from PIL import Image as Pillow
from pydantic import BeforeValidator, ConfigDict, InstanceOf, WithJsonSchema
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from firstpass.chat import Image

FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
"""What hosted models and vLLM all take."""

SIDE_LIMIT = 8000
"""Pixels, as Anthropic has it: an engine unpacks an image, and a few bytes can say that they are a huge one."""


def of_base64(data: Any) -> Image:
    """Of the type that its bytes are of, whatever it is called: callers guess. Raises: PydanticCustomError."""
    if isinstance(data, Image):
        return data
    try:
        octets = binascii.a2b_base64(str(data).encode("ascii"), strict_mode=True)
        with warnings.catch_warnings(action="ignore"), Pillow.open(BytesIO(octets), formats=FORMATS) as opened:
            media_type, longer = opened.get_format_mimetype(), max(opened.size)
    except (ValueError, OSError, Pillow.DecompressionBombError) as error:
        raise PydanticCustomError("image", "should be the base64 of a PNG, JPEG, GIF or WebP") from error
    if longer > SIDE_LIMIT:
        raise PydanticCustomError("image", "is over {limit} pixels wide or high", {"limit": SIDE_LIMIT})
    return Image(str(media_type), data)


def of_url(url: Any) -> Image:
    """Raises: PydanticCustomError."""
    if isinstance(url, Image):
        return url
    head, _, data = str(url).partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        raise PydanticCustomError("image", "should be a data: URL in base64; nothing here fetches from elsewhere")
    return of_base64(data)


Base64Image = Annotated[InstanceOf[Image], BeforeValidator(of_base64), WithJsonSchema({})]
ImageUrl = Annotated[InstanceOf[Image], BeforeValidator(of_url), WithJsonSchema({})]


def lenient(kind: str) -> ConfigDict:
    """Of a part of that type. In an earlier turn it may have any form: then a text takes its place."""
    schema: JsonDict = {"properties": {"type": {"const": kind}}, "required": ["type"], "additionalProperties": True}
    return ConfigDict(json_schema_extra=schema)
