"""The proof that nothing leaves, without an engine: real namespaces, real leaks, the kernel's own counters."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firstpass.cli.main import app
from firstpass.engine import isolation
from firstpass.prove import plants
from firstpass.prove.counters import Counts, has_ipv6, read
from firstpass.prove.seen import END, PLANTED, Phase, faults

WHY_NOT = asyncio.run(isolation.why_not())
namespaced = pytest.mark.skipif(WHY_NOT is not None, reason=f"no network namespaces here: {WHY_NOT}")

NONE = Counts(0, 0, 0, 0)
ENCLOSED = """
import json, os
from pathlib import Path
from firstpass.prove import enclosure, plants
from firstpass.prove.counters import read, sent
enclosure.enter()
"""
CABLE = """
import subprocess
for step in (
    "link add d0 type veth peer name d1",
    "addr add 198.51.100.1/24 dev d0",
    "link set d0 up",
    "link set d1 up",
    "route add default dev d0",
):
    subprocess.run(["ip", *step.split()], check=True)
"""
"""A device, with a route that leads over it, whose other end is in the same enclosure."""


def inside(code: str) -> str:
    command = [sys.executable, "-P", "-c", ENCLOSED + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@namespaced
def test_every_planted_leak_is_counted_and_idling_is_not() -> None:
    assert inside("print(json.dumps(plants.unseen()))") == "{}"
    assert inside("before = read(); __import__('time').sleep(0.5); print(read().since(before).total)") == "0"


@namespaced
@pytest.mark.parametrize(
    ("leak", "counted"),
    [
        ("a TCP connection", "no_route"),
        ("a UDP datagram", "no_route"),
        ("a question to a local name server", "no_resolver"),
        ("a connection to a local proxy", "refused"),
        ("a TCP connection over IPv6", "no_route"),
        ("a UDP datagram over IPv6", "no_route"),
    ],
)
def test_a_leak_is_counted_once_and_as_what_it_is(leak: str, counted: str) -> None:
    if "IPv6" in leak and not has_ipv6():
        pytest.skip("this kernel has no IPv6")
    code = f"""
plants.LEAKS = {{{leak!r}: plants.LEAKS[{leak!r}]}}
before = read()
assert plants.unseen() == {{}}
print(read().since(before))
"""
    assert inside(code) == str(Counts(**{**dict.fromkeys(Counts.__slots__, 0), counted: 1}))


@namespaced
def test_work_within_the_loopback_is_no_try_to_leave() -> None:
    code = """
import socket
before, loopback = read(), sent()["lo"]
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
    client.sendall(b"x")
print(read().since(before).total, sent()["lo"] > loopback)
"""
    assert inside(code) == "0 True"


@namespaced
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="only root, with iproute2, can add a device")
def test_a_packet_that_finds_a_device_is_counted_there() -> None:
    code = CABLE + 'before = read(); plants._leak(); print(read().since(before).packets > 0, "d0" in sent())'
    assert inside(code) == "True True"


@namespaced
def test_the_machine_s_services_are_hidden_from_what_is_shut_in() -> None:
    assert inside('print([name for name in ("/run", "/var/run") if any(Path(name).iterdir())])') == "[]"
    assert Path("/run").is_dir()


@namespaced
def test_a_leak_that_is_not_counted_makes_the_proof_worthless() -> None:
    told = inside('plants.LEAKS = {"a leak of a new kind": "pass"}; print(json.dumps(plants.unseen()))')
    assert json.loads(told) == {"a leak of a new kind": "it was sent"}


async def test_the_leaky_server_leaks_and_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    leaked, answered = [], []
    monkeypatch.setattr(plants, "_leak", lambda: leaked.append(True))

    async def application(scope: object, receive: object, send: object) -> None:
        answered.append(scope)

    for path in ("/v1/chat/completions", "/healthz"):
        await plants.Leaky(application)({"type": "http", "path": path}, None, None)
    assert (len(leaked), len(answered)) == (1, 2)


def test_the_counters_of_this_machine_are_read() -> None:
    first = read()
    assert read().since(first).no_route >= 0 and first.packets >= 0


SOUND = [Phase(PLANTED, 7), Phase("chat", 5, counts=NONE), Phase(END, counts=NONE)]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (SOUND, []),
        ([Phase(PLANTED, 7, ["a datagram was not counted: it was sent"])], ["planted leaks: a datagram", "it did not"]),
        (SOUND[1:], ["no leak was planted"]),
        (SOUND[:2], ["it did not come to its end"]),
        ([], ["no leak was planted", "it did not come to its end"]),
        ([SOUND[0], Phase("chat", 5, ["/v1: 502"], NONE), SOUND[2]], ["chat: /v1: 502"]),
        ([SOUND[0], Phase("chat", counts=Counts(0, 2, 0, 1)), SOUND[2]], ["chat: 2 tries without a route, 1 connect"]),
        ([SOUND[0], Phase("chat", counts=Counts(3, 0, 1, 0)), SOUND[2]], ["chat: 3 packets left, 1 questions"]),
    ],
)
def test_it_is_a_proof_only_if_leaks_are_seen_the_work_was_done_and_nothing_was_counted(
    seen: list[Phase], said: list[str]
) -> None:
    found = faults([Phase.of(phase.line()) for phase in seen])
    assert len(found) == len(said)
    assert all(fault.startswith(start) for fault, start in zip(found, said, strict=True))


def test_an_external_engine_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTPASS_ENGINE__KIND", "external")
    monkeypatch.setenv("FIRSTPASS_ENGINE__URL", "http://127.0.0.1:1/v1")
    done = CliRunner().invoke(app, ["prove"])
    assert done.exit_code == 3 and "an external engine runs elsewhere" in done.output


def test_where_no_namespace_is_to_be_had_the_status_says_so(tmp_path: Path) -> None:
    """The system's own refusal, got by a limit of no namespaces in one where we may set it."""
    if WHY_NOT is None and os.geteuid() != 0:
        pytest.skip("only root can make a place without namespaces")
    shut = "echo 0 > /proc/sys/user/max_net_namespaces && " if WHY_NOT is None else ""
    script = f"{shut}exec {sys.executable} -P -m firstpass prove"
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script] if WHY_NOT is None else ["sh", "-c", script]
    environment = os.environ | {"FIRSTPASS_SERVER__DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, check=False)
    assert done.returncode == 3
    assert "no network namespace for us" in done.stderr and "nothing was proved" in done.stderr
