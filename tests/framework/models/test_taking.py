"""Published weights into every network of the registries: what is taken, what is left, what is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from framework.errors import CheckpointError
from framework.models import (
    BACKBONES,
    SOURCE_ENCODERS,
    NetworkOptions,
    ResNet18Config,
    ResNet18SourceConfig,
    SmallCnnConfig,
    build_backbone,
    build_source,
    take_weights,
)

SMALL: dict[str, dict[str, Any]] = {
    "resnet18": {"width": 4, "dense": [6, 5]},
    "small_cnn": {"widths": [4, 6], "dense": [5]},
    "ifcseq_cnn": {"dense": [4]},
    "source alexnet": {"widths": [3, 4, 5, 5, 4]},
    "source resnet18": {"width": 4},
}
NETWORKS = [*BACKBONES.names(), *(f"source {name}" for name in SOURCE_ENCODERS.names())]
RESNET = ResNet18Config(width=4, dense=[6, 5])  # type: ignore[arg-type]


def options_of(network: str, **changes: Any) -> Any:
    registry = SOURCE_ENCODERS if network.startswith("source ") else BACKBONES
    name = network.removeprefix("source ")
    return registry.get(name).config.from_plain({"name": name, **SMALL.get(network, {}), **changes})


def built(options: NetworkOptions, channels: int, source: bool = False, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_source(options, channels) if source else build_backbone(options, channels)


def counted(network: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a network, filled with numbers that tell every tensor apart."""
    state = network.state_dict()
    return {name: torch.full_like(value, number + 1) for number, (name, value) in enumerate(state.items())}


def with_weights(options: Any, file: Path, **changes: Any) -> Any:
    return type(options).from_plain({**options.plain(), "weights": str(file), **changes})


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("kind", ["safetensors", "pt", "export", "checkpoint"])
def test_every_network_takes_its_own_weights_back(tmp_path: Path, network: str, kind: str) -> None:
    options, source = options_of(network), network.startswith("source ")
    state = counted(built(options, 2, source))
    file = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(state, file)
    elif kind == "pt":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}, "epoch": 3}, file)
    elif kind == "export":
        write_export(file, state, ["A", "B"], options.plain())
    else:
        prefix = "network.source." if source else "bag_encoder.encoder."
        file = tmp_path / "model.safetensors"
        save_file({"heads.weight": torch.ones(2), **{prefix + name: value for name, value in state.items()}}, file)
    target = built(options, 2, source, seed=1)
    found = take_weights(target, with_weights(options, file), ("A", "B"))
    assert set(found.taken) == set(state)
    assert (found.fresh, found.left) == ((), ("heads.weight",) if kind == "checkpoint" else ())
    for name, value in target.state_dict().items():
        torch.testing.assert_close(value, state[name])


def write_export(folder: Path, state: dict[str, torch.Tensor], channels: list[str], network: dict[str, Any]) -> None:
    folder.mkdir()
    save_file(state, folder / "model.safetensors")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    facts = {"kind": "wellstream model", "channels": channels, "network": network, "sha256": digest, "licence": "MIT"}
    (folder / "model.json").write_text(json.dumps(facts))


def published(tmp_path: Path, state: dict[str, Any]) -> Path:
    file = tmp_path / "published.pth"
    torch.save(state, file)
    return file


def torchvision_state(channels: int = 3) -> dict[str, torch.Tensor]:
    trunk = build_backbone(RESNET, channels).trunk
    return {**counted(trunk), "fc.weight": torch.ones(10, 32), "fc.bias": torch.ones(10)}


def test_torchvision_gives_the_trunk_and_its_classifier_is_left(tmp_path: Path) -> None:
    state = torchvision_state()
    target = built(RESNET, 3)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    found = take_weights(target, with_weights(RESNET, published(tmp_path, state)), ("A", "B", "C"))
    assert found.layout == "torchvision"
    assert found.left == ("fc.weight", "fc.bias")
    assert found.fresh == ("head.1.weight", "head.1.bias", "head.4.weight", "head.4.bias")
    assert found.first_layer == "the file's 3 channels in their order, whose names it does not say"
    for name, value in target.state_dict().items():
        wanted = before[name] if name.startswith("head.") else state[name.removeprefix("trunk.")]
        torch.testing.assert_close(value, wanted)
    source = ResNet18SourceConfig(width=4)
    again = take_weights(built(source, 3, True), with_weights(source, tmp_path / "published.pth"), ("A", "B", "C"))
    assert (again.left, again.fresh) == (("fc.weight", "fc.bias"), ())


def test_the_authors_checkpoint_gives_trunk_and_dense_layers(tmp_path: Path) -> None:
    stages = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    ours = counted(built(RESNET, 3))
    state = {"head.final.weight": torch.ones(7, 5), "head.final.bias": torch.ones(7)}
    for name, value in ours.items():
        part, rest = name.split(".", 1)
        stage, _, inner = rest.partition(".")
        state[f"head.module.{rest}" if part == "head" else f"base.{stages[stage]}.{inner}"] = value
    file = published(tmp_path, {"state_dict": state})
    target = built(RESNET, 3)
    found = take_weights(target, with_weights(RESNET, file), ("A", "B", "C"))
    assert (found.layout, found.fresh) == ("Image2Omics", ())
    assert found.left == ("head.final.weight", "head.final.bias")
    for name, value in target.state_dict().items():
        torch.testing.assert_close(value, ours[name])
    trunk = take_weights(built(RESNET, 3), with_weights(RESNET, file, take="trunk"), ("A", "B", "C"))
    assert trunk.fresh == ("head.1.weight", "head.1.bias", "head.4.weight", "head.4.bias")
    with pytest.raises(
        CheckpointError, match=r"published.pth: key 'base.3.weight' is not of an Image2Omics checkpoint"
    ):
        take_weights(
            target, with_weights(RESNET, published(tmp_path, {**state, "base.3.weight": torch.ones(1)})), "ABC"
        )


@pytest.mark.parametrize(
    ("rule", "channels", "wanted"),
    [
        ("mean", 2, [3.0, 3.0]),  # (1 + 2 + 3) / 3 x 3 / 2
        ("repeat", 6, [0.5, 1.0, 1.5, 0.5, 1.0, 1.5]),
        ("mean", 1, [6.0]),
    ],
)
def test_the_first_layer_follows_the_rule(tmp_path: Path, rule: str, channels: int, wanted: list[float]) -> None:
    state = torchvision_state()
    state["conv1.weight"] = torch.arange(1.0, 4.0)[None, :, None, None].expand(4, 3, 7, 7).clone()
    target = built(RESNET, channels)
    names = tuple(f"c{number}" for number in range(channels))
    found = take_weights(target, with_weights(RESNET, published(tmp_path, state), first_layer=rule), names)
    assert target.state_dict()["trunk.conv1.weight"][1, :, 2, 3].tolist() == wanted
    assert found.first_layer == f"{', '.join(names)} by the rule '{rule}' from 3 channel(s)"


def test_fresh_and_same(tmp_path: Path) -> None:
    file, target = published(tmp_path, torchvision_state()), built(RESNET, 5)
    before = target.state_dict()["trunk.conv1.weight"].clone()
    take_weights(target, with_weights(RESNET, file, first_layer="fresh"), "ABCDE")
    torch.testing.assert_close(target.state_dict()["trunk.conv1.weight"], before)
    with pytest.raises(CheckpointError, match=r"its first layer has 3 channel\(s\), the run has A, B; choose a rule"):
        take_weights(built(RESNET, 2), with_weights(RESNET, file, first_layer="same"), ("A", "B"))


def test_channels_that_have_names_are_found_by_them(tmp_path: Path) -> None:
    state = counted(built(RESNET, 3))
    state["trunk.conv1.weight"] = torch.arange(1.0, 4.0)[None, :, None, None].expand(4, 3, 7, 7).clone()
    write_export(tmp_path / "export", state, ["A", "B", "C"], RESNET.plain())
    options = with_weights(RESNET, tmp_path / "export")
    for channels, wanted, said in (
        (("C", "A", "B"), [3, 1, 2], "C, A, B by name"),
        (("B",), [2], "B by name; A, C of the file left"),
        (("B", "X"), [2, 3], "B by name; X by the rule 'mean' from 3 channel(s); A, C of the file left"),
    ):
        target = built(RESNET, len(channels))
        found = take_weights(target, options, channels)
        assert target.state_dict()["trunk.conv1.weight"][0, :, 0, 0].tolist() == wanted
        assert (found.first_layer, found.licence) == (said, "MIT")


def without(state: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (
            lambda s: without(s, "layer3.0.conv1.weight"),
            r"1 missing \(trunk.layer3.0.conv1.weight\); choose the network",
        ),
        (lambda s: {**s, "layer1.2.conv1.weight": torch.ones(1)}, r"1 unknown \(trunk.layer1.2.conv1.weight\)"),
        (lambda s: {**s, "bn1.weight": torch.ones(8)}, r"of another shape \(trunk.bn1.weight: 8 there, 4 here\)"),
        (lambda s: {**s, "bn1.weight": torch.full((4,), torch.nan)}, "'trunk.bn1.weight' holds values that are not"),
        (lambda s: {**s, "bn1.weight": torch.ones(4, dtype=torch.int8)}, "'trunk.bn1.weight' holds values that are"),
        (
            lambda s: {**s, "conv1.weight": torch.ones(4, 3, 3, 3)},
            r"trunk.conv1.weight: 4 x 3 x 3 x 3 there, 4 x 3 x 7",
        ),
        (lambda s: {**s, "epoch": 3}, "'epoch' is a int; save model.state_dict"),
        (lambda s: [1, 2], "expected a state dict"),
        (lambda s: {}, "expected a state dict"),
        (lambda s: {"fc.weight": torch.ones(1)}, "not the weights of this network: "),
    ],
)
def test_what_is_not_of_the_network_is_refused(tmp_path: Path, spoil: Callable[[Any], Any], what: str) -> None:
    file, target = published(tmp_path, spoil(torchvision_state())), built(RESNET, 3)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=what) as caught:
        take_weights(target, with_weights(RESNET, file), ("A", "B", "C"))
    assert str(caught.value).startswith(str(file))
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


def test_counters_may_be_lacking_and_further_parts_are_left(tmp_path: Path) -> None:
    state = {name: value for name, value in torchvision_state().items() if not name.endswith("num_batches_tracked")}
    found = take_weights(
        built(RESNET, 3),
        with_weights(RESNET, published(tmp_path, {**state, "projector.0.weight": torch.ones(1)})),
        "ABC",
    )
    assert "projector.0.weight" in found.left
    assert "trunk.bn1.num_batches_tracked" in found.fresh


def test_dense_layers_of_another_shape_name_the_way_out(tmp_path: Path) -> None:
    save_file(counted(built(RESNET, 3)), tmp_path / "a.safetensors")
    wider = ResNet18Config(width=4, dense=(6, 7))
    with pytest.raises(CheckpointError, match=r"head.4.bias: 5 there, 7 here\); set 'dense' to the layers"):
        take_weights(built(wider, 3), with_weights(wider, tmp_path / "a.safetensors"), "ABC")
    found = take_weights(built(wider, 3), with_weights(wider, tmp_path / "a.safetensors", take="trunk"), "ABC")
    assert [name for name in found.left if name.startswith("head.")] == list(found.left)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("this ran",))


def test_files_that_are_no_weights_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(counted(built(RESNET, 3)), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-9])
    whole = published(tmp_path, torchvision_state()).read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    torch.save({"weight": Harmful()}, tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("")
    write_export(tmp_path / "other", counted(built(RESNET, 3)), ["A"], {"name": "small_cnn"})
    write_export(tmp_path / "swapped", counted(built(RESNET, 3)), ["A"], RESNET.plain())
    save_file({"a": torch.ones(1)}, tmp_path / "swapped" / "model.safetensors")
    (tmp_path / "unsaid").mkdir()
    (tmp_path / "unsaid" / "model.json").write_text('{"kind": "wellstream model"}')
    for name, what in {
        "cut.safetensors": "not readable as a file of weights",
        "cut.pth": "not readable as a file of weights",
        "code.pth": "more than tensors and plain values, which would run code",
        "text.pth": "not readable as a file of weights",
        "gone.pth": "no such file",
        "run": "a run folder, expected a folder of 'wellstream export'; write one with: wellstream export",
        "": "no model.json, expected a folder of 'wellstream export'",
        "other": "holds weights of the network 'small_cnn', but the run has 'resnet18'",
        "swapped": "not the file that model.json beside it describes",
        "unsaid": "with kind, channels and network; export the run again",
    }.items():
        with pytest.raises(CheckpointError, match=what) as caught:
            take_weights(built(RESNET, 3), with_weights(RESNET, tmp_path / name), "ABC")
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_options_say_nothing_where_there_are_no_weights() -> None:
    assert SmallCnnConfig().plain() == {"name": "small_cnn", "widths": [16, 32, 64], "norm": "batch", "dense": [64],
                                        "dropout": 0.0}  # fmt: skip
    with pytest.raises(ValidationError, match="'first_layer' says how 'weights' are used; set 'weights' too"):
        SmallCnnConfig.from_plain({"name": "small_cnn", "first_layer": "same"})
    some = SmallCnnConfig(weights="a.pth", take="trunk")
    assert some.without_weights() == SmallCnnConfig()
    assert some.located(lambda path: f"/there/{path}").weights == "/there/a.pth"
