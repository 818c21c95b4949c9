"""The section `redaction`: what the ceiling `redacted` holds back, beside what the detectors find by themselves."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from firstpass.linear import Expression, NotLinear
from firstpass.settings.section import Section


class RedactionSettings(Section):
    """What the ceiling `redacted` holds back, beside what the detectors find by themselves."""

    credentials: bool = Field(
        True,
        description="Recognise the secrets that this machine knows: in the server's environment, in the files where"
        " tools keep credentials in the home directory, and the keys in these settings.",
    )
    files: tuple[Path, ...] = Field(
        (), description="Further files of secrets: NAME=secret or a secret a line. Read at the start and at a reload."
    )
    words: tuple[str, ...] = Field(
        (), description="Names that do not leave, such as customers, hosts and projects: whole words, in any case."
    )
    patterns: dict[str, str] = Field(
        {}, description="Further kinds, each with an expression of RE2. The kind, A-Z and _, stands in the placeholder."
    )

    @field_validator("words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if any(not word.strip() for word in words):
            raise ValueError("an empty word would be everywhere")
        return words

    @field_validator("patterns")
    @classmethod
    def _are_expressions(cls, patterns: dict[str, str]) -> dict[str, str]:
        for kind, pattern in patterns.items():
            if not re.fullmatch(r"[A-Z][A-Z_]{0,31}", kind):
                raise ValueError(f"{kind!r} is no kind: it needs A-Z and _ alone")
            try:
                empty = Expression(pattern).fits("")
            except NotLinear as error:
                raise ValueError(f"{kind} {error}") from error
            if empty:
                raise ValueError(f"{kind} fits an empty text, which is everywhere")
        return patterns
