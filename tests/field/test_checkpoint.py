from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ovs3d.errors import StoreError
from ovs3d.field.checkpoint import (
    FIELD_KIND,
    field_from_tensors,
    load_field,
    load_tensors,
    save_field,
    save_tensors,
)
from ovs3d.field.render import render_rays
from tests.field.builders import fog, lump, random_rays


def test_a_read_field_renders_the_same(tmp_path: Path) -> None:
    field = lump()
    field.update_occupancy()
    save_field(tmp_path / "field.safetensors", field)
    read = load_field(tmp_path / "field.safetensors")
    assert read.config == field.config
    assert torch.equal(read.occupancy, field.occupancy)
    rays = random_rays(20)
    before, after = render_rays(field, *rays), render_rays(read, *rays)
    assert float(before.opacity.max()) > 0.5
    assert torch.equal(before.color, after.color)
    assert torch.equal(before.depth, after.depth)
    assert all(parameter.requires_grad for parameter in read.parameters())


def test_equal_fields_give_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        save_field(tmp_path / name, fog(seed=3))
    save_field(tmp_path / "c", fog(seed=4))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_tensors_come_back_with_dtype_and_config(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {"b": torch.arange(4, dtype=torch.uint8), "a": torch.ones(2, 3).half().T}
    save_tensors(path, "thing", tensors, {"words": ["ä", "b"], "n": 1.5})
    read, config = load_tensors(path, "thing")
    assert config == {"words": ["ä", "b"], "n": 1.5}
    assert sorted(read) == ["a", "b"]
    for name, tensor in read.items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor, tensors[name])


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.safetensors: no such file"):
        load_field(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_file_is_named(share: float, tmp_path: Path) -> None:
    path = tmp_path / "short.safetensors"
    save_field(path, fog())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(StoreError, match=r"short\.safetensors: damaged"):
        load_field(path)


def test_changed_bit_never_gives_another_field(tmp_path: Path) -> None:
    path = tmp_path / "rotten.safetensors"
    tensors = {"a": torch.arange(64.0), "b": torch.arange(3)}
    save_tensors(path, "thing", tensors, {"grid": [4, 5]})
    good = path.read_bytes()
    refused = 0
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
        try:
            read, config = load_tensors(path, "thing")
        except StoreError as error:
            refused += "restore it with `dvc checkout`" in str(error)
        else:
            # Blanks may turn into other blanks.
            assert config == {"grid": [4, 5]}
            assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    assert refused > 0.8 * len(good)


def test_file_of_the_first_version_is_named(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    header = '{"kind": "field", "version": "1", "config": {}}'
    save_file({"a": torch.zeros(1)}, path, metadata={"ovs3d": header})
    with pytest.raises(StoreError, match=r"holds a field of version 1, expected .* version 2"):
        load_field(path)


def test_other_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_tensors(path, "segmentation", {"a": torch.zeros(1)}, {})
    with pytest.raises(StoreError, match=r"other\.safetensors: holds a segmentation .* a field"):
        load_field(path)


def test_foreign_safetensors_are_named(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(StoreError, match=r"foreign\.safetensors: holds a file of version unknown"):
        load_field(path)


@pytest.mark.parametrize(
    "header",
    [
        "3",
        "[]",
        '{"kind": "field", "version": "2"}',
        '{"kind": "field", "version": "2", "config": 3}',
    ],
)
def test_header_made_by_hand_is_named(header: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(1)}, path, metadata={"ovs3d": header})
    with pytest.raises(StoreError, match=r"odd\.safetensors: "):
        load_field(path)


def test_missing_tensor_is_named(tmp_path: Path) -> None:
    path = tmp_path / "part.safetensors"
    field = fog()
    tensors = {k: v for k, v in field.state_dict().items() if k != "basis.weight"}
    save_tensors(path, FIELD_KIND, tensors, field.config.to_dict())
    with pytest.raises(StoreError, match=r"part\.safetensors: .*basis\.weight"):
        load_field(path)


def test_another_shape_is_an_error() -> None:
    small, large = fog(), fog((8, 8, 8))
    with pytest.raises(StoreError, match="not those of a field"):
        field_from_tensors(small.state_dict(), large.config.to_dict())


@pytest.mark.parametrize(
    "changes", [{"colour": "red"}, {"space": 3}, {"grid": "small"}, {"grid": 3}]
)
def test_another_configuration_is_an_error(changes: dict[str, object]) -> None:
    field = fog()
    with pytest.raises(StoreError, match="not those of a field"):
        field_from_tensors(field.state_dict(), {**field.config.to_dict(), **changes})
