"""A whole front before an engine that somebody else runs and that hangs: a process that is stopped with SIGSTOP."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.conftest import fronted, serving
from tests.doubles import DIFF, NAMES, openai_app, says
from tests.scenes import until
from tests.unit.test_engine_hangs import PLAYED

SUMMARY = {"model": "firstpass", "messages": [{"role": "user", "content": DIFF}]}


def test_who_waits_for_it_is_answered_by_the_verifier_or_told_to_come_back_and_it_is_ready_again_by_itself(
    tmp_path: Path,
) -> None:
    socket = tmp_path / "api.sock"
    engine = {"url": f"unix:{socket}", "canary_seconds": 1.5}
    with (
        subprocess.Popen([sys.executable, "-I", "-S", "-c", PLAYED, str(socket)]) as process,
        serving(openai_app(says(NAMES))) as judge,
        ThreadPoolExecutor(2) as callers,
    ):
        verifier = {"url": f"{judge}/v1", "model": "big"}
        try:
            with fronted("", tmp_path / "data", engine=engine, verifier=verifier, policy={"egress": "any"}) as client:

                def ask(ceiling: str) -> httpx.Response:
                    wanted = {"contract": "pr-summary", "egress": ceiling}
                    return client.post("/v1/chat/completions", json=SUMMARY | {"firstpass": wanted}, timeout=60)

                process.send_signal(signal.SIGSTOP)
                for _ in range(2):
                    anywhere, here = callers.map(ask, ("any", "local-only"))
                    assert anywhere.is_success and "createSession" in anywhere.text
                    assert here.status_code == 503 and here.headers["retry-after"]
                    assert here.json()["error"]["part"] == "draft"
                ready = client.get("/readyz")
                assert ready.status_code == 503 and "said nothing" in ready.json()["error"]["message"]
                process.send_signal(signal.SIGCONT)
                until(lambda: client.get("/readyz").is_success)
        finally:
            process.kill()
