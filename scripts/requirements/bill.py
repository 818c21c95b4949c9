"""The bill of materials of the locks, as scripts/sbom writes it. Reads files, asks no network."""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

LOCKS = Path(__file__).parent
ROOT = LOCKS.parents[1]
ENGINES = ("cpu", "gpu", "transformers")

PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ \\;]+)(.*?)(?=^[A-Za-z0-9]|\Z)", re.MULTILINE | re.DOTALL)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/sbom", description=__doc__)
    parser.add_argument("engine", nargs="?", choices=ENGINES, default="cpu")
    made = bill(parser.parse_args().engine)
    sys.stdout.write(make_outputter(made, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n")


def bill(engine: str) -> Bom:
    """Of the server, what builds it and one engine."""
    parts = {part.bom_ref.value: part for lock in ("base", "build", engine) for part in locked(lock)}
    if engine != "gpu":
        torch = component("torch", torch_version(), [])
        parts[torch.bom_ref.value] = torch
    made = Bom(components=parts.values())
    made.metadata.component = ours()
    made.register_dependency(made.metadata.component, parts.values())
    return made


def locked(lock: str) -> Iterator[Component]:
    for name, version, rest in PACKAGE.findall((LOCKS / f"{lock}.txt").read_text()):
        yield component(name, version, HASH.findall(rest))


def component(name: str, version: str, digests: list[str]) -> Component:
    """digests: one for each file of this version that pip may install."""
    purl = PackageURL("pypi", name=name, version=version)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]
    files = [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=hashes)]
    references = files if hashes else []
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        external_references=references,
    )


def torch_version() -> str:
    """A step of its own in scripts/install (README.md), without a hash."""
    (version,) = re.findall(r"^TORCH=(\S+)$", (ROOT / "scripts/install").read_text(), re.MULTILINE)
    return str(version)


def ours() -> Component:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    return Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=f"{name}@{version}")


if __name__ == "__main__":
    main()
