"""The command line in processes that start at once: forks of one that has loaded it.

Each has its own folder, environment and outputs, as a user's has; what it saves is the loading, a half second each.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock

SECONDS = 120
_ONE_AT_A_TIME = Lock()


def firstpass(arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Its status, and what it says on standard output and error."""
    with tempfile.TemporaryDirectory() as place, _ONE_AT_A_TIME:
        out, err = Path(place) / "out", Path(place) / "err"
        said = [list(arguments), str(folder), dict(environment), str(out), str(err)]
        loaded = _loaded()
        assert loaded.stdin is not None and loaded.stdout is not None
        loaded.stdin.write(json.dumps(said) + "\n")
        loaded.stdin.flush()
        status = int(loaded.stdout.readline())
        return status, out.read_text(errors="replace"), err.read_text(errors="replace")


@cache
def _loaded() -> "subprocess.Popen[str]":
    loaded = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(loaded.communicate)
    return loaded


def _serve() -> None:
    import firstpass.cli.hook
    import firstpass.cli.pull_request
    import firstpass.hooks.placing
    import firstpass.hooks.running  # noqa: F401 - loaded for what is forked

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _be(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _be(arguments: list[str], folder: str, environment: dict[str, str], out: str, err: str) -> None:
    """It ends this process, as the console script does."""
    import signal

    from firstpass.cli.main import main

    signal.alarm(SECONDS)
    for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, _NEW), (2, err, _NEW)):
        os.dup2(os.open(path, flags, 0o600), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it is the process's own
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["firstpass", *arguments]
    status: object = 1
    try:
        status = main()
    except SystemExit as end:
        status = end.code
    except BaseException:  # noqa: BLE001 - it is shown, and ends the process, as it would end any
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)


_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

if __name__ == "__main__":
    _serve()
