"""What a GGUF file says of its model: files that llama.cpp's own package writes, whole and broken."""

import struct
from pathlib import Path
from typing import Any

import pytest

from firstpass import catalogue, gguf
from firstpass.errors import BadSettings

writer = pytest.importorskip("gguf", reason="the package gguf writes these files")
numpy = pytest.importorskip("numpy")

SHAPE = {"block_count": 3, "context_length": 2048, "embedding_length": 64, "head_count": 4, "head_count_kv": 2}


def written(path: Path, architecture: str = "llama", weights: int = 64, **more: Any) -> Path:
    """A small model. more: what is said of it beside SHAPE; None leaves a thing out."""
    made = writer.GGUFWriter(path, architecture)
    for name, value in (SHAPE | more).items():
        if value is not None:
            getattr(made, f"add_{name}")(value)
    made.add_token_list([f"token {at}" for at in range(5000)])
    made.add_token_scores([0.0] * 5000)
    if weights:
        made.add_tensor("token_embd.weight", numpy.zeros((weights, 64), dtype=numpy.float32))
        quantised = numpy.zeros((weights, 2 * 34), dtype=numpy.uint8)
        made.add_tensor("output.weight", quantised, raw_dtype=writer.GGMLQuantizationType.Q8_0)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return path


def test_a_model_s_size_and_name_are_read_past_its_vocabulary(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", name="Tiny", chat_template="{{ x }}")
    found = gguf.read(path)
    assert (found.name, found.architecture, found.context_tokens) == ("Tiny", "llama", 2048)
    assert (found.layers, found.kv_heads, found.key_size, found.template) == (3, (2, 2, 2), 16, "{{ x }}")
    assert found.token_bytes == 2 * 3 * 2 * (16 + 16) and found.bytes == path.stat().st_size


def test_heads_of_each_layer_and_sizes_of_their_own_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "m.gguf", head_count_kv=[2, 0, 4], key_length=24, value_length=8)
    found = gguf.read(path)
    assert found.kv_heads == (2, 0, 4) and found.token_bytes == 2 * 6 * (24 + 8) and not found.template


def test_a_model_without_heads_of_its_own_for_keys_has_as_many_as_for_queries(tmp_path: Path) -> None:
    assert gguf.read(written(tmp_path / "m.gguf", head_count_kv=None)).kv_heads == (4, 4, 4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"type": "adapter"}, "is an adapter: .*--lora"),
        ({"type": "mmproj", "architecture": "clip"}, "is a projector for images"),
        ({"architecture": "clip"}, "is a projector for images"),
        ({"weights": 0}, "has no weights"),
        ({"context_length": None}, r"no usable llama\.context_length"),
        ({"block_count": None}, r"no usable llama\.block_count"),
        ({"embedding_length": 0}, r"no usable llama\.embedding_length"),
    ],
)
def test_what_is_no_model_by_itself_is_said_in_words(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadSettings, match=rf"engine\.model: .*m\.gguf .*{said}"):
        gguf.read(written(tmp_path / "m.gguf", **more))


def test_one_of_several_parts_is_told_from_a_model(tmp_path: Path) -> None:
    made = writer.GGUFWriter(tmp_path / "m.gguf", "llama")
    made.add_uint16("split.no", 1)
    made.add_uint16("split.count", 3)
    made.add_tensor("x", numpy.zeros(4, dtype=numpy.float32))
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    with pytest.raises(BadSettings, match="is part 2 of 3: join them by `llama-gguf-split"):
        gguf.read(tmp_path / "m.gguf")


def test_a_file_that_is_cut_off_anywhere_is_said_to_be(tmp_path: Path) -> None:
    whole = written(tmp_path / "m.gguf", weights=4).read_bytes()
    cut = tmp_path / "cut.gguf"
    for length in (*range(4, 400, 7), len(whole) // 2, len(whole) - 1000, len(whole) - writer.GGUF_DEFAULT_ALIGNMENT):
        cut.write_bytes(whole[:length])
        with pytest.raises(BadSettings, match=r"cut\.gguf is cut off: it has \d+ bytes and wants more"):
            gguf.read(cut)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no GGUF file"),
        (b"PK\3\4" * 100, "is no GGUF file"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "GGUF of version 1"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "byte order"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 2**60, 2**63), "is cut off"),
        (b"GGUF" + struct.pack("<IQQQ1sI", 3, 0, 1, 1, b"k", 77), "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 9, 2**62), "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQQ1sIIQ", 3, 0, 1, 1, b"k", 9, 4, 2**62), "is cut off"),
    ],
)
def test_a_hostile_or_foreign_file_is_an_error_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(BadSettings, match=said):
        gguf.read(tmp_path / "m.gguf")


def test_a_file_that_can_not_be_read_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="can not be read: No such file"):
        gguf.read(tmp_path / "none.gguf")


def test_a_model_for_embeddings_alone_is_known(tmp_path: Path) -> None:
    assert gguf.read(written(tmp_path / "m.gguf", pooling_type=writer.PoolingType.MEAN)).embeds


def test_the_catalogue_finds_a_file_or_the_one_in_a_directory(tmp_path: Path) -> None:
    path = written(tmp_path / "Tiny.Q8_0.gguf")
    for named in (path, tmp_path):
        model = catalogue.find_gguf(str(named))
        assert (model.name, model.directory, model.gguf) == ("Tiny.Q8_0", tmp_path, path)
        assert model.context_tokens == 2048 and catalogue.flipped(model) == []
        assert catalogue.is_gguf(str(named))


def test_a_directory_with_none_or_several_is_refused_with_their_names(tmp_path: Path) -> None:
    assert not catalogue.is_gguf(str(tmp_path)) and not catalogue.is_gguf("firstpass-draft-10m")
    with pytest.raises(BadSettings, match=r"holds no \.gguf file"):
        catalogue.find_gguf(str(tmp_path))
    with pytest.raises(BadSettings, match=r"no file '.*none\.gguf'"):
        catalogue.find_gguf(str(tmp_path / "none.gguf"))
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(BadSettings, match=r"holds 2 \.gguf files: name one of a\.gguf, b\.gguf"):
        catalogue.find_gguf(str(tmp_path))


def test_a_card_beside_the_file_says_which_contracts_it_was_trained_on(tmp_path: Path) -> None:
    written(tmp_path / "m.gguf")
    card = catalogue.named("firstpass-draft-10m")
    (tmp_path / "card.toml").write_text((card.directory / "card.toml").read_text())
    assert catalogue.find_gguf(str(tmp_path)).contracts == card.contracts != ()
