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
"""What hosted models and vLLM all take. Of those that Pillow tells apart from them, MPO is JPEG with more behind it."""

SIDE_LIMIT = 8000
"""Pixels, as Anthropic has it: an engine unpacks an image, and a few bytes can say that they are a huge one."""

PNG_BEGINNING = 33
"""Bytes with a PNG's size. More of it Pillow unpacks, which takes seconds where somebody wants it to."""

NO_PIXELS = bytes(4) + b"IDAT" + bytes(4)


def of_base64(written: Any) -> Image:
    """Of the type that its bytes are of, whatever it is called: callers guess. Raises: PydanticCustomError."""
    data = "".join(str(written).split())
    try:
        octets = binascii.a2b_base64(data.encode("ascii"), strict_mode=True)
        shown = octets[:PNG_BEGINNING] + NO_PIXELS if octets.startswith(b"\x89PNG") else octets
        with warnings.catch_warnings(action="ignore"), Pillow.open(BytesIO(shown), formats=FORMATS) as opened:
            form, longer = str(opened.format), max(opened.size)
    except (ValueError, OSError, Pillow.DecompressionBombError) as error:
        raise PydanticCustomError("image", "should be the base64 of a PNG, JPEG, GIF or WebP") from error
    if longer > SIDE_LIMIT:
        raise PydanticCustomError("image", "is over {limit} pixels wide or high", {"limit": SIDE_LIMIT})
    return Image(f"image/{form.lower() if form in FORMATS else 'jpeg'}", data)


def of_url(url: Any) -> Image:
    """Raises: PydanticCustomError."""
    head, _, data = str(url).partition(",")
    if not (head.lower().startswith("data:") and head.lower().endswith(";base64")):
        raise PydanticCustomError("image", "should be a data: URL in base64; nothing here fetches from elsewhere")
    return of_base64(data)


Base64Image = Annotated[InstanceOf[Image], BeforeValidator(of_base64), WithJsonSchema({})]
ImageUrl = Annotated[InstanceOf[Image], BeforeValidator(of_url), WithJsonSchema({})]


def lenient(kind: str) -> ConfigDict:
    """Of a part of that type. In an earlier turn it may have any form: then a text takes its place."""
    schema: JsonDict = {"properties": {"type": {"const": kind}}, "required": ["type"], "additionalProperties": True}
    return ConfigDict(json_schema_extra=schema)
