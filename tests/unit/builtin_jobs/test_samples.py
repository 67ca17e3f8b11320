"""The pictures that a model is most wrong about."""

from __future__ import annotations

import numpy as np
import pytest
import samples

SHARES = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.99, 0.01]])
PIXELS = np.arange(4 * 12, dtype=np.uint8).reshape(4, 12)


def test_only_mistakes_the_least_probable_true_class_first():
    found = samples.wrong(np.array([0, 0, 1, 1]), PIXELS, SHARES)
    assert [(each.true, each.predicted, each.of_true, each.probability) for each in found] == [
        (1, 0, 0.01, 0.99), (0, 1, 0.2, 0.8), (1, 0, 0.4, 0.6),
    ]  # fmt: skip
    assert found[0].pixels.tolist() == PIXELS[3].tolist()
    assert samples.wrong(np.array([0, 1, 0, 0]), PIXELS, SHARES) == []


def test_of_many_the_picture_has_room_for_the_worst():
    many = samples.wrong(
        np.ones(400, int), np.zeros((400, 4), np.uint8), np.linspace([0.6, 0.4], [1, 0], 400)
    )
    assert len(many) == 40
    assert [each.of_true for each in samples.worst([*many[::-1], *many[:3]])][:2] == [0.0, 0.0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [0, 3, 40])
def test_the_picture_is_a_png(tmp_path, channels, count):
    sample = samples.Sample(0, 1, 0.9, 0.1, np.zeros(2 * 2 * channels, np.uint8))
    path = tmp_path / "worst.png"
    samples.draw([sample] * count, size=2, names=["cat", "dog"], title="t", path=path)
    assert path.read_bytes().startswith(b"\x89PNG")
