"""The proof that a node computes, with a torch made of numpy: its products are real, its devices are not."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from muster_node.proofs import programs, torch_step
from muster_node.proofs.checks import checks
from muster_node.proofs.plan import Plan, make

RANDOM = np.random.default_rng(1)


class Tensor(np.ndarray):
    """An array that goes to a device; what a device does to it is the test's."""

    spoil: Any = staticmethod(lambda tensor: tensor)

    def to(self, device: str) -> Tensor:
        return Tensor.spoil(self) if device.startswith("cuda") else self

    def cpu(self) -> Tensor:
        return self

    def abs(self) -> Tensor:
        return np.abs(self)


def torch(gpus: int) -> Any:
    return SimpleNamespace(
        __version__="2.6.0+cu124",
        cuda=SimpleNamespace(is_available=lambda: gpus > 0, device_count=lambda: gpus),
        manual_seed=lambda _: None,
        randn=lambda *shape: RANDOM.standard_normal(shape, dtype=np.float32).view(Tensor),
    )


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The devices that were trained on, each in no time."""
    devices: list[str] = []
    monkeypatch.setattr(torch_step, "train", lambda _, device: devices.append(device))
    return devices


@pytest.mark.parametrize(
    ("there", "wanted", "told", "devices"),
    [
        (0, 0, "torch 2.6.0+cu124 on cpu", ["cpu"]),
        (1, 0, "torch 2.6.0+cu124 on cuda", ["cuda:0"]),
        (1, 1, "torch 2.6.0+cu124 on cuda", ["cuda:0"]),
        (4, 4, "torch 2.6.0+cu124 on 4 cuda", ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
    ],
)
def test_every_device_computes(
    trained: list[str], there: int, wanted: int, told: str, devices: list[str]
) -> None:
    assert torch_step.prove(torch(there), wanted) == told
    assert trained == devices


@pytest.mark.parametrize(
    ("there", "wanted", "message"),
    [
        (0, 1, r"on cpu; the machine's type has 1 GPU\(s\), torch sees none$"),
        (1, 4, r"on cuda; the machine's type has 4 GPU\(s\), torch sees 1$"),
    ],
)
def test_a_gpu_that_is_not_seen(trained: list[str], there: int, wanted: int, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch_step.prove(torch(there), wanted)
    assert trained == []


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_a_product_that_is_not_the_processors(
    trained: list[str], monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    monkeypatch.setattr(Tensor, "spoil", staticmethod(lambda tensor: tensor + np.float32(wrong) * tensor))
    with pytest.raises(
        RuntimeError, match=r"a product on cuda:0 differs from the processor's by (0\.02|nan)"
    ):
        torch_step.prove(torch(1), 1)
    assert trained == []


def test_short_numbers_of_a_tensor_core_are_no_fault(
    trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tf32(tensor: Tensor) -> Tensor:  # ten bits of the mantissa are left
        return (tensor.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).view(Tensor)

    monkeypatch.setattr(Tensor, "spoil", staticmethod(tf32))
    assert 1e-5 < torch_step.difference(torch(1), "cuda:0") < torch_step.TOLERANCE
    assert torch_step.prove(torch(1), 1).endswith("on cuda") and trained


def test_a_failure_is_one_line_of_the_program_and_of_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    none = torch(0)
    none.set_num_threads = lambda _: None
    monkeypatch.setitem(sys.modules, "torch", none)
    monkeypatch.setattr(sys, "argv", ["torch_step", "1"])
    with pytest.raises(SystemExit, match=r"^torch 2\.6\.0\+cu124 on cpu; the machine's type has 1 GPU\(s\)"):
        torch_step.main()
    assert capsys.readouterr().out == ""


def test_the_check_tells_how_many_gpus_there_shall_be(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(programs, "run", lambda *words, **_: asked.append(words) or "torch 2.6.0 on 4 cuda")
    (work,) = checks(Plan.parse({"wish": 1, "deep_learning": True, "dataset": {}, "gpus": 4}))
    assert make(work).ok and asked == [("torch_step", "4")]
