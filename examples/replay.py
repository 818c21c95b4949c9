"""Sends prompts to /infer one after the other and prints what came: the output, its least sure token, the time it took.

    python examples/replay.py prompts.jsonl --url http://127.0.0.1:8080 --floor -4

Each line of the file is an object with `prompt` and, if you like, `model` and `max_tokens`; `-` reads standard input.
The key is FIRSTPASS_API_KEY. A line on standard output is tab-separated: latency in ms, lowest log-probability (and
whose), route, output as JSON. Status 1 where a prompt failed or a token lay below --floor: that is how a model that
collapsed shows itself, whatever its text says.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Answer:
    """lowest: the token that the model was least sure of, and its natural-log probability; None without logprobs."""

    output: str
    route: str
    latency_ms: float
    lowest: tuple[str, float] | None


def infer(url: str, key: str | None, asked: dict[str, Any]) -> Answer:
    """Raises: OSError, which an HTTP error is."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}/infer", json.dumps(asked).encode(), headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
        answer = json.load(response)
    tokens = [(token["token"], token["logprob"]) for token in answer["logprobs"] or ()]
    lowest = min(tokens, key=lambda token: token[1], default=None)
    return Answer(answer["output"], answer["firstpass"]["route"], answer["latency_ms"], lowest)


def prompts(lines: TextIO) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.strip():
            yield {"model": "local"} | json.loads(line)


def shown(answer: Answer) -> str:
    token = f"{answer.lowest[1]:.3f} {json.dumps(answer.lowest[0])}" if answer.lowest else "-"
    return "\t".join((f"{answer.latency_ms:.1f}", token, answer.route, json.dumps(answer.output)))


def replay(lines: TextIO, url: str, key: str | None, floor: float) -> bool:
    """Whether every prompt was answered, and no token lay below the floor."""
    fine = True
    for asked in prompts(lines):
        try:
            answer = infer(url, key, asked)
        except urllib.error.HTTPError as error:
            print(f"{error.code}: {error.read().decode(errors='replace')}", file=sys.stderr)
            fine = False
            continue
        print(shown(answer))
        fine = fine and (answer.lowest is None or answer.lowest[1] >= floor)
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description="Replays prompts against Firstpass.")
    parser.add_argument("file", help="JSON lines with `prompt`; - for standard input")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="of Firstpass, without a path")
    parser.add_argument("--floor", type=float, default=float("-inf"), help="the lowest log-probability that is fine")
    chosen = parser.parse_args()
    with sys.stdin if chosen.file == "-" else Path(chosen.file).open() as lines:
        sys.exit(not replay(lines, chosen.url.rstrip("/"), os.environ.get("FIRSTPASS_API_KEY"), chosen.floor))


if __name__ == "__main__":
    main()
