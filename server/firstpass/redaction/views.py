"""Other looks at a text, in which every character keeps its place. They know no rule."""


def lowered(text: str) -> str:
    """A text in small letters, with each character in its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def in_ascii(text: str) -> str:
    """A text with a question mark for every other character, each in its place: Python finds words in it sooner."""
    return text if text.isascii() else text.encode("ascii", "replace").decode("ascii")
