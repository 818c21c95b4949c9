"""Released versions of packages, unpacked into a folder outside the tree. Knows no language.

Asks each registry's own client, by name and version: pip for PyPI, npm, and apt-get for Debian's source packages. Where
the machine's apt knows too few releases, APT_CONFIG names a configuration that knows more.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).with_name("packages.toml")

_UPSTREAM = "*.orig.tar.?z*"


@dataclass(frozen=True, slots=True)
class Package:
    """versions: released ones, oldest first. under: the first part of the paths to look at; empty for all."""

    repository: str
    registry: str
    name: str
    versions: tuple[str, ...]
    under: tuple[str, ...] = ()
    held_out: bool = False
    most_bytes: int = 8_000


def packages(listed: Path = PACKAGES) -> tuple[Package, ...]:
    return tuple(
        Package(**{name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()})
        for entry in tomllib.loads(listed.read_text())["package"]
    )


def steps(package: Package, cache: Path) -> Iterator[tuple[str, Path, Path]]:
    """(name of the step, the folder of the older version, that of the newer), fetched where the cache lacks them."""
    folders = [_fetched(package, version, cache) for version in package.versions]
    for at in range(1, len(folders)):
        yield f"{package.versions[at - 1]}..{package.versions[at]}", folders[at - 1], folders[at]


def _fetched(package: Package, version: str, cache: Path) -> Path:
    """Raises: subprocess.CalledProcessError with the client's status where it does not have the version."""
    place = cache / "versions" / f"{package.repository} {package.name}".replace("/", "_") / version
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            unpacked = _UNPACKED[package.registry](package.name, version, Path(folder))
            unpacked.rename(place)
    return place


def _from_pypi(name: str, version: str, folder: Path) -> Path:
    """pip keeps what it unpacked; whether it can then build the package, which it tries, does not matter."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = (sys.executable, "-m", "pip", "download", "--no-clean", "--no-deps", "--no-binary=:all:")
    place = ("--no-build-isolation", "--disable-pip-version-check", f"--dest={folder / 'built'}")
    asked = subprocess.run((*command, *place, f"{name}=={version}"), env=environment, capture_output=True)
    unpacked = [path for path in folder.glob("pip-download-*/*") if path.is_dir()]
    if not unpacked:
        asked.check_returncode()
    return unpacked[0]


def _from_npm(name: str, version: str, folder: Path) -> Path:
    command = ("npm", "pack", "--silent", f"{name}@{version}")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return _untarred(next(folder.glob("*.tgz")), folder)


def _from_debian(name: str, version: str, folder: Path) -> Path:
    """The upstream archive, without Debian's patches; of an old release it may be all that the mirror still has."""
    command = ("apt-get", "source", "--download-only", "--only-source", "--quiet", f"{name}={version}")
    asked = subprocess.run(command, cwd=folder, capture_output=True)
    archives = sorted(folder.glob(_UPSTREAM), key=lambda path: len(path.name))  # a signature's name is longer
    if not archives:
        asked.check_returncode()
    return _untarred(archives[0], folder)


def _from_debian_crate(name: str, version: str, folder: Path) -> Path:
    """Debian ships a crate of Rust as its sources, in a package for all who build with it."""
    subprocess.run(("apt-get", "download", f"{name}={version}"), cwd=folder, check=True, capture_output=True)
    inside = folder / "inside"
    subprocess.run(("dpkg-deb", "-x", str(next(folder.glob("*.deb"))), str(inside)), check=True, capture_output=True)
    return next(inside.glob("usr/share/cargo/registry/*"))


def _untarred(archive: Path, folder: Path) -> Path:
    """The one folder at the top of the archive, or all of it."""
    inside = folder / "inside"
    with tarfile.open(archive) as tar:
        tar.extractall(inside, filter="data")
    tops = [path for path in inside.iterdir() if path.is_dir()]
    return tops[0] if len(tops) == 1 else inside


_UNPACKED = {"pypi": _from_pypi, "npm": _from_npm, "debian": _from_debian, "debian-crate": _from_debian_crate}


def main() -> None:
    """Fetch all of a list, by itself packages.toml, into the folder given, and say which are not to be had."""
    for package in packages(Path(sys.argv[2]) if len(sys.argv) > 2 else PACKAGES):
        try:
            count = sum(1 for _ in steps(package, Path(sys.argv[1])))
            print(f"{package.repository}: {count} steps", flush=True)
        except subprocess.CalledProcessError as error:
            print(f"{package.repository}: {' '.join(error.cmd)}: status {error.returncode}", flush=True)


if __name__ == "__main__":
    main()
