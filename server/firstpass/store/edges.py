"""The edges of the index's pages, where FTS5 leaves a word, or how it begins, when it is deleted. It knows no exchange.

For each page but a segment's first, `found_idx` has a term after the last one of the page before, and not after the
page's own first. Any such term will do: the one that was deleted gives way to the next that is there.
"""

import json

import apsw

from firstpass.store.migrations import TOKENIZER

MAIN = b"0"
"""With which each term begins there."""

PRESENT = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.found_present USING fts5vocab('main', 'found', 'row')"
NEXT = "SELECT CAST(term AS BLOB) FROM temp.found_present WHERE term >= CAST(? AS TEXT) LIMIT 1"
FLUSH = "SELECT 1 FROM temp.found_present LIMIT 1"
EDGES = """
    WITH RECURSIVE segments (segment) AS (
        SELECT min(segid) FROM found_idx
        UNION ALL
        SELECT (SELECT min(segid) FROM found_idx WHERE segid > segment) FROM segments WHERE segment IS NOT NULL
    ),
    near (segment, token, edge) AS (
        SELECT segment, token, (SELECT max(term) FROM found_idx WHERE segid = segment AND term <= token)
        FROM segments, (SELECT CAST(?1 || value AS BLOB) AS token FROM json_each(?2))
    )
    SELECT DISTINCT segment, edge FROM near WHERE length(edge) > 1 AND substr(token, 1, length(edge)) = edge
"""
"""Those that are the beginning of a token. Of several in one segment the last is enough: a term that lies between two
begins like the first of them."""

MOVE = "UPDATE found_idx SET term = ? WHERE segid = ? AND term = ?"


def clear(connection: apsw.Connection, text: str) -> None:
    """No edge says any more what only this deleted text said."""
    connection.execute(PRESENT)
    list(connection.execute(FLUSH))
    tokenize = connection.fts5_tokenizer(*TOKENIZER)
    found = tokenize(text.encode(), apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False, include_colocated=False)
    for segment, edge in list(connection.execute(EDGES, (MAIN.decode(), json.dumps(sorted(set(found)))))):
        following = list(connection.execute(NEXT, (edge.removeprefix(MAIN),)))
        if following and not (term := MAIN + following[0][0]).startswith(edge):
            connection.execute(MOVE, (term, segment, edge))
