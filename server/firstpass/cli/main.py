"""The command line of Firstpass: serve a model, ask it, read the record, make keys, look after the models."""

import sys

import typer

from firstpass.cli.lazy import Later, Lazily
from firstpass.errors import FirstpassError

COMMANDS = (
    Later(
        "eval",
        "firstpass.cli.eval:evaluate",
        "Measure local only, strong only and the cascade on a repository's history or on labelled changes.",
    ),
    Later(
        "bench",
        "firstpass.cli.bench:bench",
        "Latency and throughput of servers under a load, side by side.",
    ),
    Later(
        "plan",
        "firstpass.cli.plan:plan",
        "What this machine can run, on which engine and with which flags, and how fast it will be.",
    ),
    Later(
        "calibrate",
        "firstpass.cli.calibrate:calibrate",
        "Fit a score on some repositories, find on others the threshold that keeps a promise, and write both to a"
        " file.",
    ),
    Later(
        "index",
        "firstpass.cli.index:index",
        "Index a repository, or what changed of it: firstpass index . && firstpass ask --repository NAME ...",
    ),
    Later(
        "prove",
        "firstpass.cli.prove:prove",
        "Show that nothing leaves: runs front and engine in a network without a way out, and counts the tries.",
    ),
    Later("serve", "firstpass.cli.serve:serve", "Start the engine and the front, and serve until Ctrl-C."),
    Later(
        "mock",
        "firstpass.cli.mock:mock",
        "Serve a scripted model, with faults where wanted, until Ctrl-C: what a server does under them needs no model.",
    ),
    Later(
        "check",
        "firstpass.cli.check:check",
        "Hold a server to the cases of a repository: what its answers must mention, must not, and how they may come.",
    ),
    Later(
        "case",
        "firstpass.cli.case:case",
        "Cases that `firstpass check` asks: list those of a file, make one of a recorded exchange.",
    ),
    Later(
        "ask",
        "firstpass.cli.ask:ask",
        "Send a prompt or a diff to a running server: git diff main | firstpass ask --contract pr-summary",
    ),
    Later(
        "explain",
        "firstpass.cli.ask:explain",
        "Say what a running server would do with a prompt or a diff, and by which rule, without doing it.",
    ),
    Later(
        "label",
        "firstpass.cli.ask:label",
        "Tell a running server whether an answer was right: for the record, and for the gate that accepted it.",
    ),
    Later(
        "ps",
        "firstpass.cli.fleet:ps",
        "List the models of a running server: which are loaded, what they take, who uses them.",
    ),
    Later(
        "load",
        "firstpass.cli.fleet:load",
        "Load a model into a running server's memory, and wait until it is there. Others may have to leave for it.",
    ),
    Later(
        "unload",
        "firstpass.cli.fleet:unload",
        "Have a model that nobody uses leave a running server's memory, or sleep. The next request has it back.",
    ),
    Later(
        "reload",
        "firstpass.cli.fleet:reload",
        "Have a running server read its settings again. A fault in them changes nothing.",
    ),
    Later(
        "history",
        "firstpass.cli.history:history",
        "List the recorded exchanges, newest first, or show one with its steps and findings.",
    ),
    Later(
        "sessions",
        "firstpass.cli.sessions:sessions",
        "Conversations of the record: list, show, export and forget them.",
    ),
    Later(
        "replay",
        "firstpass.cli.replay:replay",
        "Ask recorded exchanges again, of another model, contract or server, and show what changed.",
    ),
    Later(
        "experiment",
        "firstpass.cli.experiment:experiment",
        "Compare the arms of an experiment by what the record has of them: labels, checks, latency, cost.",
    ),
    Later(
        "hook",
        "firstpass.cli.hook:hook",
        "Git hooks: a draft of each commit's message, a summary of each push. They never stop either.",
    ),
    Later(
        "pull-request",
        "firstpass.cli.pull_request:pull_request",
        "Summarise a pull or merge request; with --post, put the summary there as one comment, which is kept up to"
        " date.",
    ),
    Later("keys", "firstpass.cli.keys:keys", "API keys: needed as soon as the server listens beyond loopback."),
    Later(
        "models",
        "firstpass.cli.models:models",
        "Model cards: list, show, verify; pull fetches weights from the hub.",
    ),
    Later(
        "contracts",
        "firstpass.cli.contracts:contracts",
        "Prompt contracts: list them, show one with its wording.",
    ),
    Later(
        "audit",
        "firstpass.cli.audit:audit",
        "`firstpass audit`: what left the machine and what became of the record, and whether any of it was altered.",
    ),
    Later(
        "backup",
        "firstpass.cli.backup:backup_command",
        "Copy the record as it is at this moment into one file, while a server goes on; the copy is verified.",
    ),
    Later(
        "restore",
        "firstpass.cli.backup:restore_command",
        "Put a backup in the place of the record, which is kept beside it under another name. The server must not run.",
    ),
)
"""In the order of `firstpass --help`."""

app = typer.Typer(
    cls=Lazily.of(COMMANDS), no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)


@app.callback()
def _commands() -> None:
    """Without it, typer takes an application for one command."""


def main() -> None:
    """The console script. Errors of ours and the system's end with a line on stderr and status 1.

    A git hook skips typer's reading of the commands, for which it loads pydantic: a commit waits for it.
    """
    if sys.argv[1:3] == ["hook", "run"] and "--help" not in sys.argv:
        from firstpass.hooks.running import called

        return called(sys.argv[3:])
    try:
        app()
    except (FirstpassError, OSError) as error:
        from firstpass.cli.terminal import fail

        fail(str(error))
