"""What tests of the dialects say: texts, JSON objects and the arguments of calls, as small as their kind allows."""

import json
from typing import Any

from hypothesis import strategies as st

words = st.text(st.characters(codec="utf-8"), max_size=6)
some_text = words.filter(bool)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
leaves: st.SearchStrategy[Any] = st.none() | st.booleans() | numbers | words
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(words, values, max_size=2)
odd = st.sampled_from(['{"a": 1e999}', '{"a": NaN}', '{"a": "\\ud83d"}', '{"a": 1', "[1]", "1", '{"a": 1, "a": 2}'])
arguments = objects.map(json.dumps) | odd | words.filter(lambda text: bool(text.strip()))
"""Of a call: a JSON object, or what a model wrote in its place."""
