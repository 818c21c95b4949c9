"""The numbered changes of the SQLite schema, oldest first. A migration that has shipped is never edited."""

from contextlib import closing

import apsw

FOUND = """
        CREATE VIRTUAL TABLE found USING fts5 (
            marks, words, content = '', tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
        );
        INSERT INTO found (found, rank) VALUES ('secure-delete', 1)"""
"""The index of words. It keeps no text; what is deleted from it leaves it for good, once `edges` has cleared it."""

TOKENIZER = ("unicode61", ["remove_diacritics", "2", "tokenchars", "_"])
"""By which it makes words of a text."""

BOOK = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT"
"""Of which migrations were made."""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "0001_exchanges",
        """
        CREATE TABLE exchanges (
            id TEXT PRIMARY KEY,
            received_unix REAL NOT NULL,
            model TEXT NOT NULL,
            contract TEXT,
            session TEXT,
            route TEXT,
            status INTEGER NOT NULL,
            seconds REAL NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            body TEXT NOT NULL
        ) STRICT;
        CREATE INDEX exchanges_by_time ON exchanges (received_unix DESC);
        CREATE TABLE departures (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            exchange_id TEXT NOT NULL,
            host TEXT NOT NULL,
            sent_unix REAL NOT NULL,
            bytes INTEGER NOT NULL,
            sha256 TEXT NOT NULL
        ) STRICT;
        """,
    ),
    (
        "0002_keys",
        """
        CREATE TABLE keys (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            digest TEXT NOT NULL,
            created_unix REAL NOT NULL,
            revoked_unix REAL
        ) STRICT;
        """,
    ),
    (
        "0003_contracts",
        """
        CREATE TABLE contracts (
            pinned TEXT PRIMARY KEY,
            sha256 TEXT NOT NULL
        ) STRICT;
        """,
    ),
    (
        "0004_labels",
        """
        CREATE TABLE labels (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            exchange_id TEXT NOT NULL,
            verdict TEXT NOT NULL,
            source TEXT NOT NULL,
            made_unix REAL NOT NULL,
            text TEXT,
            key TEXT
        ) STRICT;
        CREATE INDEX labels_by_exchange ON labels (exchange_id);
        """,
    ),
    (
        "0005_audit",
        """
        CREATE TABLE log (
            number INTEGER PRIMARY KEY,
            entry TEXT NOT NULL,
            nodes BLOB NOT NULL
        ) STRICT;
        CREATE INDEX log_by_exchange ON log (coalesce(entry ->> 'exchange', entry ->> 'id'));
        ALTER TABLE exchanges ADD COLUMN entry INTEGER;
        ALTER TABLE exchanges ADD COLUMN salt TEXT;
        ALTER TABLE labels ADD COLUMN entry INTEGER;
        ALTER TABLE labels ADD COLUMN salt TEXT;
        ALTER TABLE keys ADD COLUMN entry INTEGER;
        ALTER TABLE contracts ADD COLUMN entry INTEGER;
        UPDATE exchanges SET salt = hex(randomblob(16));
        UPDATE labels SET salt = hex(randomblob(16));
        """,
    ),
    (
        "0006_keys_scoped",
        """
        ALTER TABLE keys ADD COLUMN owner TEXT;
        ALTER TABLE keys ADD COLUMN not_before_unix REAL;
        ALTER TABLE keys ADD COLUMN expires_unix REAL;
        ALTER TABLE keys ADD COLUMN scopes TEXT;
        UPDATE keys SET owner = id;
        CREATE TABLE spends (
            owner TEXT NOT NULL,
            day TEXT NOT NULL,
            usd REAL NOT NULL,
            PRIMARY KEY (owner, day)
        ) STRICT;
        CREATE TABLE rates (
            owner TEXT NOT NULL,
            unit TEXT NOT NULL,
            level REAL NOT NULL,
            at_unix REAL NOT NULL,
            PRIMARY KEY (owner, unit)
        ) STRICT;
        """,
    ),
    (
        "0007_settings",
        """
        CREATE TABLE settings (
            digest TEXT PRIMARY KEY,
            first_unix REAL NOT NULL,
            told TEXT NOT NULL
        ) STRICT;
        """,
    ),
    (
        "0008_experiments",
        """
        ALTER TABLE exchanges ADD COLUMN experiment TEXT;
        ALTER TABLE exchanges ADD COLUMN shadows TEXT;
        CREATE INDEX exchanges_by_experiment ON exchanges (experiment) WHERE experiment IS NOT NULL;
        CREATE INDEX exchanges_by_shadows ON exchanges (shadows) WHERE shadows IS NOT NULL;
        """,
    ),
    (
        "0009_index",
        FOUND  # noqa: S608
        + """;
        CREATE TABLE indexed (version INTEGER NOT NULL, last INTEGER NOT NULL, counted INTEGER NOT NULL) STRICT;
        INSERT INTO indexed VALUES (0, -1, -1);
        CREATE TABLE sessions (
            owner TEXT NOT NULL,
            name TEXT NOT NULL,
            exchanges INTEGER NOT NULL,
            latest INTEGER NOT NULL,
            PRIMARY KEY (owner, name)
        ) STRICT;
        CREATE INDEX sessions_by_owner ON sessions (owner, latest);
        CREATE INDEX sessions_by_latest ON sessions (latest);
        CREATE TABLE used (
            owner TEXT NOT NULL,
            day TEXT NOT NULL,
            requests INTEGER NOT NULL,
            refused INTEGER NOT NULL,
            prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL,
            PRIMARY KEY (owner, day)
        ) STRICT;
        """,
    ),
)

AFTERWARDS = {"0005_audit": "DROP TABLE departures"}
"""What is run once a migration's rows are where they belong."""

VOUCHED = {"0005_audit": ("exchanges", "labels", "keys", "contracts"), "0006_keys_scoped": ("keys",)}
"""The tables whose rows a migration changes, or finds without entries in the log: each row gets a new one.

Those of these two come before all else in a log, and only there are taken for ours (`succession`): a later one that
vouches for rows again has to be let in there."""


def schema(connection: apsw.Connection) -> dict[tuple[str, str], str]:
    """What makes each thing in a file, by its type and name; damaged text may be no UTF-8."""
    parts = ("type", "name", "concat_ws(' ', tbl_name, sql)")
    sql = f"SELECT {', '.join(f'CAST({part} AS BLOB)' for part in parts)} FROM sqlite_schema"  # noqa: S608
    rows = ([bytes(part).decode(errors="replace") for part in row] for row in connection.execute(sql))
    return {(kind, name): made for kind, name, made in rows}


def schema_after(count: int) -> dict[tuple[str, str], str]:
    """What the schema is in a file where the first so many migrations were made."""
    with closing(apsw.Connection(":memory:")) as fresh:
        fresh.execute(BOOK)
        for name, script in MIGRATIONS[:count]:
            fresh.execute(script + AFTERWARDS.get(name, ""))
        return schema(fresh)
