"""Files that make Python run code, or look in further directories, at every start: is each of them a package's own?

A line of a `.pth` file that begins with `import` is run before any program is, and so are the modules sitecustomize and
usercustomize (docs of Python's module `site`). Code that ran before us could hide from this check: it finds what was
put there by accident, by another tool or by a careless thief, and tells it apart from what was installed.
"""

import site
import sys
import sysconfig
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from firstpass.errors import BadSettings

CUSTOM_MODULES = ("sitecustomize", "usercustomize")

VIRTUALENV = {"_virtualenv.pth": b"import _virtualenv"}
"""virtualenv and uv write it into each environment that they make, where no RECORD has it."""


def refuse_strangers(allowed: Iterable[str]) -> None:
    """allowed: file names that the settings vouch for. Raises: BadSettings that names a file."""
    names = set(allowed)
    for path in (*pth_files(site_directories()), *customizing()):
        if path.name not in names and not is_known(path):
            raise BadSettings(
                f"{path} is run at every start of this Python, and no installed package vouches for it: remove it, or"
                " name it in server.allowed_startup_files"
            )


def site_directories() -> list[Path]:
    """Where this Python looks for `.pth` files."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(directory) for directory in dict.fromkeys([*site.getsitepackages(), *user])]


def pth_files(directories: Iterable[Path]) -> Iterator[Path]:
    for directory in directories:
        yield from (path for path in sorted(directory.glob("*.pth")) if path.is_file())


def customizing() -> Iterator[Path]:
    """The files of those modules that this Python has imported, but for the ones that came with it."""
    own = Path(sysconfig.get_path("stdlib"))
    for name in CUSTOM_MODULES:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and Path(file).parent != own:
            yield Path(file)


def is_known(path: Path) -> bool:
    """Whether an installed package lists the file, and with these bytes. Raises: BadSettings for an unreadable one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path} may be run at every start of this Python, and can't be read: {error}") from error
    if VIRTUALENV.get(path.name) == content.strip():
        return True
    digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=")
    line = b"\n%b,sha256=%b," % (path.name.encode(), digest)
    return any(line in b"\n" + record.read_bytes() for record in path.parent.glob("*.dist-info/RECORD"))
