"""What happens when processes die: the engine under a request, the front itself. Real vLLM, real signals."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.doubles import DIFF
from tests.scenes import until
from tests.vllm.conftest import READY_SECONDS, Live, assert_gone, living, wait_until_ready
from tests.vllm.test_main_job import LONG, summary

pytestmark = pytest.mark.vllm

RECOVERY_SECONDS = 60.0


def engine_core(live: Live) -> psutil.Process:
    """The process that holds the model: the deepest of the tree."""
    return next(process for process in live.tree() if "EngineCore" in process.name() + " ".join(process.cmdline()))


def inner_pid(process: psutil.Process) -> int:
    """In its own namespace; 2 for the command of a guard that is the first in one. Source: proc_pid_status(5)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("NSpid:")[2].partition("\n")[0].split()[-1])


def api_server(live: Live) -> psutil.Process:
    return next(process for process in live.tree() if "vllm.entrypoints.openai.api_server" in process.cmdline())


@pytest.mark.parametrize("victim", [engine_core, api_server])
def test_a_killed_engine_is_an_error_in_the_caller_s_dialect_and_then_comes_back(live: Live, victim: object) -> None:
    answers: list[httpx.Response] = []
    ask = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{live.url}/v1/chat/completions", json=LONG, timeout=120))
    )
    before = live.tree()
    ask.start()
    time.sleep(0.5)
    assert ask.is_alive(), "the request ended before the engine could be killed under it"
    victim(live).send_signal(signal.SIGKILL)  # type: ignore[operator]
    killed = time.monotonic()
    ask.join()
    error = answers[0].json()["error"]
    assert answers[0].status_code == 503 and error["part"] == "draft" and error["message"]
    assert answers[0].headers["retry-after"]
    wait_until_ready(live, READY_SECONDS)
    assert summary(live, DIFF).is_success
    print(f"answered again {time.monotonic() - killed:.1f} s after the kill")
    assert_gone([process for process in before if process not in live.tree()])


def test_a_request_that_an_engine_died_over_twice_is_refused_and_others_are_not(live: Live) -> None:
    """Twice in the test before, where the same words were being answered."""
    answer = httpx.post(f"{live.url}/v1/chat/completions", json=LONG, timeout=120)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "request_kills_engine"
    assert httpx.post(f"{live.url}/v1/chat/completions", json=LONG | {"max_tokens": 3}, timeout=120).is_success


def test_an_engine_that_hangs_is_noticed_and_started_again(live: Live) -> None:
    with ThreadPoolExecutor(1) as pool:
        before = live.tree()
        engine_core(live).send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        asked = pool.submit(httpx.post, f"{live.url}/v1/chat/completions", json=LONG | {"seed": 2}, timeout=120)
        until(lambda: not httpx.get(f"{live.url}/readyz", timeout=20).is_success, RECOVERY_SECONDS)
        print(f"noticed {time.monotonic() - stopped:.1f} s after the stop")
        answer = asked.result()
    assert answer.status_code == 503 and answer.headers["retry-after"] and answer.json()["error"]["part"] == "draft"
    wait_until_ready(live, READY_SECONDS)
    print(f"ready again {time.monotonic() - stopped:.1f} s after the stop")
    assert_gone([process for process in before if process not in live.tree()])


def test_seeded_requests_that_do_not_fit_one_step_leave_the_engine_alive(live: Live) -> None:
    """Bug of vLLM 0.32 on a CPU: where a seeded prompt is read in two steps, the engine died of its generator."""
    before = engine_core(live).pid
    texts = [f"{number} " + "word " * 1200 for number in range(6)]
    bodies = [
        {
            "model": "local",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 4,
            "seed": 1,
            "temperature": 0.8,
        }
        for text in texts
    ]
    with ThreadPoolExecutor(len(bodies)) as pool:
        url = f"{live.url}/v1/chat/completions"
        answers = list(pool.map(lambda body: httpx.post(url, json=body, timeout=120), bodies))
    assert [answer.status_code for answer in answers] == [200] * len(bodies), answers[0].text
    assert engine_core(live).pid == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_is_left_when_the_front_is_gone_and_its_guards_with_it(tmp_path: Path, how: signal.Signals) -> None:
    """Both guards only where a process namespace holds the engine; else one of them is left to it."""
    with living(tmp_path / "data") as own:
        tree = own.tree()
        assert len(tree) >= 5, "front, two guards, engine and its core"
        guards = tree[1:3] if inner_pid(api_server(own)) == 2 else tree[1:2]
        own.process.send_signal(how)
        for guard in guards if how is signal.SIGKILL else ():
            guard.send_signal(how)
        assert_gone(tree)
        sockets = [path for path in (tmp_path / "data").rglob("*") if path.is_socket()]
        assert how is signal.SIGKILL or sockets == []
