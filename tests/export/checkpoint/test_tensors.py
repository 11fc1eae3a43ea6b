"""Reading safetensors: every float type, several files, and files that are not what they should be."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from checkpoint_box import as_bfloat16, safetensors, write_folder
from safetensors.numpy import save_file

from lorgnette.export.checkpoint.tensors import NamedTensors, SafetensorsTensors, open_tensors, shape_of
from lorgnette.export.llama import WeightsFormatError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_the_safetensors_library_writes_is_read(tmp_path: Path, dtype: type) -> None:
    arrays = {
        "a.weight": RNG.normal(size=(3, 5)).astype(dtype),
        "b": np.array(0.5, dtype),
        "none": np.zeros((0, 4), dtype),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    tensors = open_tensors(tmp_path)
    assert set(tensors) == set(arrays)
    for name, array in arrays.items():
        read = tensors[name]
        assert read.dtype == np.float32
        assert read.shape == tensors.shape(name) == array.shape
        np.testing.assert_array_equal(read, array.astype(np.float32))
    assert tensors.parameter_bytes == 16 * np.dtype(dtype).itemsize
    assert "a.weight" in tensors and "c" not in tensors and len(tensors) == 3


def test_bfloat16_is_the_upper_half_of_float32(tmp_path: Path) -> None:
    numbers = np.array([1.0, -2.5, 3.0e38, np.inf, np.nan, 1e-40, 0.0, -0.0, 3.140625], np.float32)
    odd = np.array([1], np.uint8)  # what follows does not begin at an even address
    (tmp_path / "model.safetensors").write_bytes(safetensors({"odd": odd, "w": as_bfloat16(numbers)}))
    tensors = open_tensors(tmp_path)
    assert tensors.dtype_name("w") == "BF16"
    read = tensors["w"]
    np.testing.assert_array_equal(read.view(np.uint32), numbers.view(np.uint32) & 0xFFFF0000)
    assert read[[0, 1, 8]].tolist() == [1.0, -2.5, 3.140625]
    read[0] = 7  # the caller's own
    assert tensors["w"][0] == 1


def test_a_look_up_takes_little_more_memory_than_its_result(tmp_path: Path) -> None:
    big = as_bfloat16(np.ones((4096, 1024), np.float32))
    (tmp_path / "model.safetensors").write_bytes(safetensors({"a": big, "b": big}))
    tensors = open_tensors(tmp_path)
    tracemalloc.start()
    for name in tensors:
        assert tensors[name].sum() == big.size
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < big.size * 4 + (6 << 20)  # of one tensor, not of two


def test_other_types_are_listed_and_refused_when_read(tmp_path: Path) -> None:
    arrays = {"ids": np.arange(3), "w": np.ones(2, np.float32)}
    (tmp_path / "model.safetensors").write_bytes(safetensors(arrays))
    tensors = open_tensors(tmp_path)
    assert tensors["w"].tolist() == [1, 1]
    with pytest.raises(WeightsFormatError, match=r"ids in .* is I64") as refusal:
        tensors["ids"]
    assert "bfloat16" in refusal.value.hint


@pytest.mark.parametrize("length", [0, 7, 20, -1])
def test_a_file_that_is_cut_short_says_how_long_it_is(tmp_path: Path, length: int) -> None:
    whole = safetensors({"w": np.ones((4, 4), np.float32)})
    path = tmp_path / "model.safetensors"
    path.write_bytes(whole[:length])
    with pytest.raises(
        WeightsFormatError, match=rf"model\.safetensors is cut short.* {len(whole[:length])} bytes"
    ) as refusal:
        open_tensors(tmp_path)
    assert "\n" not in str(refusal.value)
    if length == -1:
        assert f"should have {len(whole)}" in refusal.value.message
    path.write_bytes(whole + b"x")
    with pytest.raises(
        WeightsFormatError, match=f"too long: it has {len(whole) + 1} bytes and should have {len(whole)}"
    ):
        open_tensors(tmp_path)


def test_a_file_that_is_cut_while_it_is_open_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"w": np.ones((4, 4), np.float32)}))
    tensors = open_tensors(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsFormatError, match="cut short while"):
        tensors["w"]
    path.unlink()
    with pytest.raises(WeightsFormatError, match="cannot read"):
        tensors["w"]


def file_with(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" * 100, "is no safetensors file"),
        (b"version https://git-lfs.example/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (file_with(b"not json"), "cannot be read"),
        (file_with(b"[]"), "cannot be read"),
        (file_with(b"\xff\xff"), "cannot be read"),
        (file_with(b'{"w": {"dtype": "F32", "shape": [2]}}'), "lacks 'data_offsets'"),
        (file_with(json.dumps({"w": W | {"data_offsets": [0, 4]}}).encode(), b"1234"), "has 4 bytes"),
        (file_with(json.dumps({"w": W | {"data_offsets": [8, 0]}}).encode()), "no proper shape and place"),
        (file_with(json.dumps({"w": W | {"shape": [-2]}}).encode()), "no proper shape and place"),
        (file_with(json.dumps({"w": W | {"data_offsets": [4, 12]}}).encode(), b"1" * 12), "does not follow"),
        (file_with(json.dumps({"w": W, "v": W}).encode(), b"1" * 8), "does not follow"),
        (file_with(b'{"w": %b, "w": %b}' % ((json.dumps(W).encode(),) * 2), b"1" * 8), "appears twice"),
        (file_with(b"[" * 50_000), "cannot be read"),
    ],
)
def test_a_damaged_header_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsFormatError, match=message) as refusal:
        open_tensors(tmp_path)
    assert "\n" not in str(refusal.value)
    assert refusal.value.hint


A = {"a": np.ones((2, 3), np.float32)}
B = {"b": np.zeros(4, np.float32)}


def write_shards(folder: Path, places: object, **shards: bytes) -> Path:
    index = {"metadata": {}, "weight_map": places}
    return write_folder(
        folder, {"model.safetensors.index.json": index} | {f"{name}.safetensors": data for name, data in shards.items()}
    )


def test_several_files_are_one_mapping(tmp_path: Path) -> None:
    write_shards(
        tmp_path, {"a": "m-1.safetensors", "b": "m-2.safetensors"}, **{"m-1": safetensors(A), "m-2": safetensors(B)}
    )
    tensors = open_tensors(tmp_path)
    assert list(tensors) == ["a", "b"]
    assert tensors["a"].shape == (2, 3)
    assert [file.name for file in tensors.files] == ["m-1.safetensors", "m-2.safetensors"]
    assert tensors.parameter_bytes == 40


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"a": "one.safetensors", "b": "two.safetensors"}, "lacks two.safetensors, one of 2"),
        ({"a": "one.safetensors", "c": "one.safetensors"}, "says that one.safetensors holds c"),
        ({"a": "../out.safetensors"}, "no safetensors file beside it"),
        ({"a": "/out.safetensors"}, "no safetensors file beside it"),
        ({"a": "sub/one.safetensors"}, "no safetensors file beside it"),
        ({"a": "..\\one.safetensors"}, "no safetensors file beside it"),
        ({"a": "one.bin"}, "no safetensors file beside it"),
        ({"a": "same.safetensors", "b": "one.safetensors"}, "both hold a"),
        ({}, "lists no weights"),
        ({"a": 3}, "lists no weights"),
        ("a", "lists no weights"),
    ],
)
def test_an_index_that_does_not_agree_with_the_files_is_refused(tmp_path: Path, places: object, message: str) -> None:
    (tmp_path / "out.safetensors").write_bytes(safetensors(A))
    folder = write_shards(tmp_path / "model", places, one=safetensors(A), same=safetensors(A))
    with pytest.raises(WeightsFormatError, match=message):
        open_tensors(folder)


def test_an_index_that_places_a_tensor_in_the_wrong_file_is_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, {"a": "two.safetensors", "b": "one.safetensors"}, one=safetensors(A), two=safetensors(B))
    with pytest.raises(WeightsFormatError, match="holds a, and it does not"):
        open_tensors(tmp_path)


def test_a_part_is_seen_under_other_names(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors({"model.text.w": np.ones(2, np.float32), "head.w": np.ones(3, np.float32)}))
    part = NamedTensors(SafetensorsTensors([path]), {"w": "model.text.w"})
    assert list(part) == ["w"] and len(part) == 1
    assert part["w"].tolist() == [1, 1]
    assert part.shape("w") == shape_of(part, "w") == shape_of(dict(part), "w") == (2,)
    assert "model.text.w" not in part
    with pytest.raises(KeyError):
        part["head.w"]
    path.unlink()
    assert "w" in part and part.shape("w") == (2,)  # neither reads the file
