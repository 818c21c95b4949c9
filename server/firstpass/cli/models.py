"""`firstpass models`: the cards, which weights are on this disk, whether they are as recorded, and fetching them."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from firstpass import catalogue, hardware
from firstpass.catalogue import Card, Held, Lock, Recorded
from firstpass.catalogue.card import cache_token_bytes, fitting_tokens, memory_bytes, weight_bytes
from firstpass.cli.terminal import AsJson, Config, err, fail, out, print_table, table
from firstpass.errors import PullFailed
from firstpass.settings import load

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

LABEL_WIDTH = 18

LEAST_CONTEXT_TOKENS = 1024
"""A model that has room for fewer beside it is not said to fit."""

models = typer.Typer(no_args_is_help=True, help="Model cards: list, show, verify; pull fetches weights from the hub.")


@models.command("list")
def list_models(config: Config = None, as_json: AsJson = False) -> None:
    """Every model with a card: what it is, what it needs, and where its weights are."""
    models_dir = load(config).models_dir
    cards = catalogue.cards()
    room, kind = room_here()
    if as_json:
        typer.echo(json.dumps([_public(card, models_dir, room) for card in cards], indent=1))
        return
    rows = table("name", "architecture", "total/active", "experts", "licence", "memory", "fits", "where")
    for card in cards:
        rows.add_row(
            card.name,
            card.architecture,
            f"{_count(card.parameters_total)}/{_count(card.parameters_active)}",
            _experts(card),
            card.licence,
            size(memory_bytes(card)),
            _fits(card, room),
            _where(card, models_dir),
        )
    print_table(rows)
    out.print("[dim]memory: weights and one sequence of the whole context[/]")
    out.print(f"[dim]fits: that, or how long a context does, in the {size(room)} {kind} that this machine can give[/]")


@models.command("show")
def show_model(
    name: Annotated[str, typer.Argument(help="A name of `firstpass models list`.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """One card, whole."""
    card, models_dir = catalogue.named(name), load(config).models_dir
    if as_json:
        typer.echo(json.dumps(_public(card, models_dir, room_here()[0]), indent=1))
        return
    for label, text in _lines(card, models_dir, room_here()[0]):
        _print_field(label, text)
    for title, part in card.further.items():
        if isinstance(part, dict):
            out.print(f"\n[bold]{escape(title)}[/]")
            for label, value in part.items():
                _print_field(label, value)


@models.command("verify")
def verify_models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or directories; all on this disk if left out.")
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Read every byte of the models' files and compare the SHA-256 with the record; status 1 if one is not the same."""
    models_dir = load(config).models_dir
    wanted = [catalogue.recorded(name, models_dir) for name in names or ()] or catalogue.on_this_disk(models_dir)
    found = [(model, catalogue.damage(model.directory, model.sha256)) for model in wanted]
    if as_json:
        typer.echo(json.dumps([_verdict(*pair) for pair in found], indent=1))
    else:
        for pair in found:
            _print_verdict(*pair)
    if any(damage for _, damage in found):
        raise typer.Exit(1)


def _verdict(model: Recorded, damage: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": model.name,
        "directory": str(model.directory),
        "files": len(model.sha256),
        "damage": dict(damage),
    }


def _print_verdict(model: Recorded, damage: Mapping[str, str]) -> None:
    for name, how in damage.items():
        out.print(escape(f"{model.name}: {model.directory / name} {'is missing' if how == 'missing' else how}"))
    if not damage:
        out.print(escape(f"{model.name}: {len(model.sha256)} files as recorded"))


@models.command("pull")
def pull_model(
    name: Annotated[str, typer.Argument(help="A name of `firstpass models list`.")],
    to: Annotated[Path | None, typer.Option(help="Put it into TO/NAME; by default into engine.models_dir.")] = None,
    config: Config = None,
) -> None:
    """Fetch a model's weights from the hub, HF_ENDPOINT or huggingface.co. Nothing else of Firstpass downloads."""
    card = catalogue.named(name)
    if card.hub is None:
        fail(f"{card.name} is not at the hub: its weights come with Firstpass")
    directory = (to or load(config).models_dir) / card.name
    again = f"; running `firstpass models pull {card.name}` again goes on from here"
    try:
        pull(card, directory)
    except KeyboardInterrupt:
        fail(f"interrupted{again}", INTERRUPTED)
    except PullFailed as error:
        fail(f"{error}{again if any(directory.glob('*.part')) else ''}")
    out.print(escape(f"{card.name} is in {directory}"))


def pull(card: Card, directory: Path, endpoint: str | None = None) -> None:
    """Bring the card's files, and write down beside them which bytes came. endpoint: another hub than HF_ENDPOINT.

    A file that is here with the recorded bytes is not fetched again. Of a model that is not pinned, the commit of the
    first pull holds for all later ones. Raises: PullFailed, BadSettings.
    """
    from firstpass.egress import hub

    assert card.hub is not None, "only models of the hub are pulled"
    before = catalogue.read_lock(directory)
    revision = card.hub.revision if card.hub.pinned or before is None else before.revision
    if _nothing_to_do(before, revision, directory):
        out.print(f"nothing to fetch: all files of commit {revision} are here as recorded")
        return
    snapshot = hub.look_up(card.hub.repository, revision, endpoint)
    directory.mkdir(parents=True, exist_ok=True)
    _require_space(directory, sum(hub.missing_bytes(directory, file) for file in snapshot.files))
    lock = Lock(card.name, snapshot.repository, snapshot.commit)
    catalogue.write_lock(directory, lock)
    files: dict[str, Held] = {}
    for number, file in enumerate(snapshot.files, 1):
        digest = hub.held(directory, file)
        if digest is None:
            err.print(f"{number}/{len(snapshot.files)} {escape(file.name)}, {size(file.bytes)}")
            digest = hub.fetch(snapshot, file, directory, endpoint)
        files[file.name] = Held(file.bytes, digest)
    for name in (before.files if before else {}).keys() - files.keys():
        (directory / name).unlink(missing_ok=True)
    catalogue.write_lock(directory, replace(lock, files=files, complete=True))


def _nothing_to_do(lock: Lock | None, revision: str, directory: Path) -> bool:
    if lock is None or not lock.complete or lock.revision != revision:
        return False
    return not catalogue.damage(directory, {name: held.sha256 for name, held in lock.files.items()})


def _require_space(directory: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed_bytes > free:
        raise PullFailed(f"{size(needed_bytes)} are to come, and {directory} has {size(free)} free", part="egress")


def _public(card: Card, models_dir: Path, room: int) -> dict[str, Any]:
    """The card as JSON, with what follows from it. room: bytes."""
    fields = asdict(card) | {"directory": str(card.directory)}
    if card.hub:
        fields["hub"] |= {"pinned": card.hub.pinned}
    return fields | {
        "weight_bytes": weight_bytes(card),
        "cache_token_bytes": cache_token_bytes(card),
        "memory_bytes": memory_bytes(card),
        "fits_tokens": fitting_tokens(card, room),
        "where": catalogue.place(card, models_dir),
    }


def _lines(card: Card, models_dir: Path, room: int) -> list[tuple[str, str]]:
    memory = (
        f"{size(weight_bytes(card))} weights, {cache_token_bytes(card):,} bytes a token of context;"
        f" {size(memory_bytes(card))} with one whole context (engine.context_tokens lowers it)"
    )
    lines = [
        ("name", card.name),
        ("for", card.summary),
        ("where", f"{_where(card, models_dir)}, {_directory(card, models_dir)}"),
        ("licence", card.licence),
        ("architecture", card.architecture),
        ("parameters", f"{_count(card.parameters_total)}, of which {_count(card.parameters_active)} for one token"),
        ("experts", _experts(card)),
        ("shape", f"{card.layers} layers, hidden {card.hidden}, {card.kv_heads} KV heads of {card.head_dim}"),
        ("weights", card.dtype + (f", experts in {card.quantisation}" if card.quantisation else "")),
        ("context", f"{card.context_tokens:,} tokens"),
        ("memory", memory),
        ("fits here", _fits(card, room)),
        ("contracts", ", ".join(card.contracts)),
        ("vLLM flags", " ".join(card.vllm_flags)),
    ]
    if card.hub:
        pinned = card.hub.revision if card.hub.pinned else f"{card.hub.revision} (not pinned) {card.hub.note}"
        lines += [("repository", card.hub.repository), ("revision", pinned)]
    lines += [(label, str(value)) for label, value in card.further.items() if not isinstance(value, dict)]
    lines += [("limit", limit) for limit in card.limits]
    lines += [("sha256", f"{digest} {name}") for name, digest in card.sha256.items()]
    return [(label, text) for label, text in lines if text]


def _print_field(label: str, value: Any) -> None:
    """A list of texts takes a line each; numbers stay on one."""
    texts = value if isinstance(value, list) and all(isinstance(part, str) for part in value) else [str(value)]
    for text in texts:
        out.print(f"[dim]{escape(label):<{LABEL_WIDTH}}[/] {escape(text)}")


def room_here() -> tuple[int, str]:
    """(Bytes for a model and its cache, of what): of its largest GPU, as far as that can be asked, else of memory."""
    machine = hardware.this()
    on_gpu = hardware.gpu_bytes() if machine.gpu else 0
    return (on_gpu, "of its largest GPU") if on_gpu else (machine.usable_bytes, "of memory")


def _fits(card: Card, room: int) -> str:
    tokens = fitting_tokens(card, room)
    if tokens == card.context_tokens:
        return "yes"
    return f"{tokens:,} tokens" if tokens >= LEAST_CONTEXT_TOKENS else "no"


def _where(card: Card, models_dir: Path) -> str:
    unpinned = ", not pinned" if card.hub and not card.hub.pinned else ""
    return catalogue.place(card, models_dir) + unpinned


def _directory(card: Card, models_dir: Path) -> Path:
    return models_dir / card.name if card.hub else card.directory


def _experts(card: Card) -> str:
    """Such as 64/6+1: sixty-four experts, six of them chosen for a token, one that serves every token."""
    return f"{card.experts}/{card.experts_per_token}" + (f"+{card.shared_experts}" if card.shared_experts else "")


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.3g}B" if parameters >= 1e9 else f"{parameters / 1e6:.3g}M"


def size(size_bytes: int) -> str:
    """In units of ten, as disks and the hub count: 1 GB is 10^9 bytes."""
    factor, unit = next(((f, u) for f, u in ((1e9, "GB"), (1e6, "MB")) if size_bytes >= f), (1e3, "kB"))
    return f"{size_bytes / factor:.1f} {unit}"
