"""The main job of scripts/quickstart: start the server, send it one real commit as a PR summary, show what came of it.

It talks to its own server over HTTP, as any client would.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn
from rich.console import Console
from rich.markup import escape

from firstpass.cli.ask import print_answer
from firstpass.cli.logs import show_log
from firstpass.errors import FirstpassError
from firstpass.front import address, front, run, wait_until_ready
from firstpass.settings import Settings, load

COMMITS_TRIED = 200
TOO_LONG = ("context_length_exceeded", "body_too_large")
C_LOCALE = os.environ | {"LC_ALL": "C"}
ANSWER_SECONDS = 300.0
SAMPLE = Path(__file__).with_name("sample.diff")

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    arguments = _arguments()
    show_log()
    try:
        settings = load()
        server = front(settings)
    except FirstpassError as error:
        sys.exit(f"quickstart: {error}")
    outcome: list[str] = []

    def work() -> None:
        try:
            _job(server, settings, arguments.commit)
        except Exception as error:  # noqa: BLE001 - whatever it is ends the thread, so it has to end the server too
            outcome.append(str(error) or type(error).__name__)
        finally:
            if arguments.once or outcome:
                server.should_exit = True

    threading.Thread(target=work, daemon=True).start()
    run(server)
    if outcome:
        sys.exit(f"quickstart: {outcome[0]}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/quickstart", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the server after the first answer")
    parser.add_argument("--commit", help="summarise this commit instead of the newest one that fits")
    return parser.parse_args()


def _job(server: uvicorn.Server, settings: Settings, commit: str | None) -> None:
    url = address(server)
    with httpx.Client(base_url=url, timeout=ANSWER_SECONDS, trust_env=False) as client:
        started = time.monotonic()
        wait_until_ready(url, settings.engine.start_deadline_seconds)
        console.print(f"\n[bold]Firstpass answers on {url}[/] (ready in {time.monotonic() - started:.1f} s)")
        for name, diff in _diffs(commit):
            response = _summarise(client, diff)
            if response.is_success:
                console.print(f"\n[bold]PR summary of {escape(name)}[/]\n")
                print_answer(response)
                console.print("\nAsk it yourself: [bold]git diff HEAD~1 | firstpass ask --contract pr-summary[/]")
                return
            error = response.json()["error"]
            if error["code"] not in TOO_LONG or commit:
                raise RuntimeError(f"{name}: {error['message']}")
        raise RuntimeError("no diff was answered")


def _summarise(client: httpx.Client, diff: str) -> httpx.Response:
    options = {"contract": "pr-summary"}
    body = {"model": "firstpass", "messages": [{"role": "user", "content": diff}], "firstpass": options}
    return client.post("/v1/chat/completions", json=body)


def _diffs(commit: str | None) -> Iterator[tuple[str, str]]:
    """The commit that the user names, or the repository's commits from the newest on, then a sample of our own."""
    names = [commit] if commit else _git("rev-list", "--no-merges", f"--max-count={COMMITS_TRIED}", "HEAD").split()
    for name in names:
        diff = _git("show", "--format=", "--no-color", "--no-ext-diff", "--end-of-options", name)
        if diff.strip():
            yield _git("log", "-1", "--format=%h %s", "--end-of-options", name).strip(), diff
        elif commit:
            raise RuntimeError(f"{commit} is no commit with a diff in this repository")
    if not commit:
        yield f"{SAMPLE.name} (no commit of a repository here fits the model's context)", SAMPLE.read_text()


def _git(*arguments: str) -> str:
    """What git prints, nothing where there is no repository or no git. Files that are no UTF-8 are read too."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, env=C_LOCALE)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


if __name__ == "__main__":
    main()
