"""The way to the model hub: what a repository holds, and its files, checked byte by byte.

Only `firstpass models pull` comes here, by name and on purpose. A request carries the name of a repository and of a
file, the user's own HF_TOKEN where there is one, and no prompt. The hub is HF_ENDPOINT, else huggingface.co; proxies of
the environment are used. It knows no catalogue and no settings.

Not `snapshot_download`: in huggingface_hub 2.4.0 (`file_download.py:2005`) it writes to a file with a random name and
deletes it when the download breaks off, so that a run which is repeated starts a file of 5 GB anew. `http_get` of the
same library takes up a partial file where it ends, within a run and in the next one.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from firstpass.errors import PullFailed

WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "LICENSE*", "NOTICE*")
"""At the top of a repository: weights, configuration, tokenizer, licence. Not *.bin, *.gguf and *.py, nor any folder,
where the same weights lie in other forms."""

UNWANTED = ("consolidated*", "*.pt.json")
"""The same weights in their makers' own layout."""

DIGEST_CHUNK_BYTES = 2**20
LOOK_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file as the hub records it.

    sha256: of a file in LFS. Of the others the hub has git_sha1 only, the id of a git blob.
    """

    name: str
    bytes: int
    git_sha1: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a repository at one commit."""

    repository: str
    commit: str
    files: tuple[HubFile, ...]


def look_up(repository: str, revision: str, endpoint: str | None = None) -> Snapshot:
    """One request. endpoint: another hub's address than HF_ENDPOINT. Raises: PullFailed."""
    with _explained(repository, revision, endpoint):
        from huggingface_hub import HfApi

        api = HfApi(endpoint=endpoint)
        try:
            info = api.model_info(repository, revision=revision, files_metadata=True, timeout=LOOK_UP_SECONDS)
        except (ValueError, TypeError, KeyError) as error:
            raise PullFailed(f"{api.endpoint} does not answer as a hub does", part="egress") from error
    files = []
    for sibling in info.siblings or ():
        if _is_wanted(sibling.rfilename):
            if sibling.size is None or sibling.blob_id is None:
                raise PullFailed(f"the hub gives no size or id of {repository}/{sibling.rfilename}", part="egress")
            digest = sibling.lfs.sha256 if sibling.lfs else None
            files.append(HubFile(sibling.rfilename, sibling.size, sibling.blob_id, digest))
    if info.sha is None or not any(file.name.endswith(".safetensors") for file in files):
        raise PullFailed(f"{repository} at {revision} has no safetensors weights", part="egress")
    return Snapshot(repository, info.sha, tuple(files))


def _is_wanted(name: str) -> bool:
    """The name becomes a path on this disk: no folder in it, no leading dot."""
    if name.startswith(".") or "/" in name or "\\" in name:
        return False
    return any(fnmatchcase(name, good) for good in WANTED) and not any(fnmatchcase(name, bad) for bad in UNWANTED)


def missing_bytes(directory: Path, file: HubFile) -> int:
    """How many bytes of the file are still to come, by its size and that of its partial download."""
    if (directory / file.name).is_file():
        return 0
    part = _part(directory, file)
    return max(0, file.bytes - part.stat().st_size) if part.is_file() else file.bytes


def _part(directory: Path, file: HubFile) -> Path:
    """Named by the blob too: what came of another commit's file is not taken up."""
    return directory / f"{file.name}.{file.git_sha1[:12]}.part"


def held(directory: Path, file: HubFile) -> str | None:
    """The SHA-256 of a file that is here with the recorded bytes, else None."""
    path = directory / file.name
    return _checked(path, file) if path.is_file() else None


def fetch(snapshot: Snapshot, file: HubFile, directory: Path, endpoint: str | None = None) -> str:
    """Bring one file to `directory`; a partial download is taken up where it ends. Shows a bar on a terminal.

    Returns: the file's SHA-256.
    Raises: PullFailed; the partial download stays, unless its bytes are wrong.
    """
    part = _part(directory, file)
    if part.is_file() and part.stat().st_size > file.bytes:
        part.unlink()
    with _explained(snapshot.repository, snapshot.commit, endpoint), part.open("ab") as target:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # public, loaded lazily

        http_get(
            hf_hub_url(snapshot.repository, file.name, revision=snapshot.commit, endpoint=endpoint),
            target,
            resume_size=target.tell(),
            # Compressed on the way, a file could be taken up at the wrong byte.
            headers=build_hf_headers() | {"Accept-Encoding": "identity"},
            expected_size=file.bytes,
            displayed_filename=file.name,
        )
    digest = _checked(part, file)
    if digest is None:
        part.unlink()
        raise PullFailed(
            f"{file.name} of {snapshot.repository} came with other bytes than the hub records; it was deleted, and"
            " running the command again fetches it anew",
            part="egress",
        )
    part.replace(directory / file.name)
    return digest


def _checked(path: Path, file: HubFile) -> str | None:
    """The SHA-256, if the bytes are the recorded ones.

    git_sha1 is SHA-1 of `blob SIZE\\0` and the bytes (Pro Git, section 10.2, "Git Objects").
    """
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(DIGEST_CHUNK_BYTES):
            sha256.update(chunk)
            if file.sha256 is None:
                git.update(chunk)
    same = git.hexdigest() == file.git_sha1 if file.sha256 is None else sha256.hexdigest() == file.sha256
    return sha256.hexdigest() if same else None


@contextmanager
def _explained(repository: str, revision: str, endpoint: str | None) -> Iterator[None]:
    """Everything that can go wrong between here and the hub becomes a PullFailed of one line."""
    # Read when huggingface_hub is imported. Without it, its client asks the hub for a list of coding agents, and says
    # which of them runs it and which torch is installed.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import httpx2
    from huggingface_hub import constants

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        if type(error).__module__ == "builtins" and isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the hub's
        raise PullFailed(_why(error, endpoint or constants.ENDPOINT, repository, revision), part="egress") from error


def _why(error: Exception, hub: str, repository: str, revision: str) -> str:
    """GatedRepoError comes before its base class RepositoryNotFoundError, the hub's errors before those of the way."""
    import httpx2
    from huggingface_hub import errors

    match error:
        case errors.OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set: nothing may be fetched from the hub"
        case errors.GatedRepoError():
            return (
                f"{repository} is gated: accept its terms at {hub}/{repository}, then set HF_TOKEN to a token of yours"
            )
        case errors.RepositoryNotFoundError():
            return f"{hub} has no repository {repository}, or it is private and wants HF_TOKEN"
        case errors.RevisionNotFoundError() | errors.RemoteEntryNotFoundError():
            return f"{hub} has no revision {revision} of {repository}, or not all of its files"
        case errors.HfHubHTTPError(response=response):
            advice = ": HF_TOKEN is missing or may not read it" if response.status_code in (401, 403) else ""
            return f"{hub} answered {response.status_code} for {repository}{advice}"
        case httpx2.TimeoutException():
            return f"{hub} did not answer in time"
        case httpx2.ConnectError() | httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return f"{hub} can't be reached ({error})"
    return f"the connection to {hub} broke off ({error})"
