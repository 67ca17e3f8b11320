"""What is said of a picture: prepared as the model's set was, and where the model looks."""

from __future__ import annotations

import io
import json

import looking
import numpy as np
import pytest
from answering import Desk
from models import recipe_of
from pictures import Recipe, prepare
from PIL import Image
from runs import NoModel
from uploads import Upload

from muster_node.sets import Manifest

from .conftest import SIDE, bright

RUN = "baseline-20261129-100000-aaaa"


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_gets_the_class_that_the_model_gives_it(desk: Desk, cluster) -> None:
    cluster.run(RUN)
    run = desk.choose().run
    for share, name in ((0.1, "dark"), (0.9, "light")):
        answer = desk.answer(Upload("lamp.png", png(bright(share))), run, look=True)
        assert (answer.problem, answer.said, answer.shares[0][0]) == ("", name, name)
        assert sum(share for _, share in answer.shares) == pytest.approx(1)
        assert answer.seen.startswith("data:image/png;base64,")
        assert bool(answer.looked) is (name == "light"), "less of a dark lamp makes it no less dark"
    assert desk.answer(Upload("lamp.png", png(bright(0.9))), run, look=False).looked == ""


def test_labels_are_given_from_the_threshold_on(desk: Desk, cluster) -> None:
    cluster.run(RUN, threshold=0.0001)
    answer = desk.answer(Upload("a.png", png(bright(0.5))), desk.choose().run, look=False)
    assert answer.said.split(", ") == [name for name, share in answer.shares if share >= 0.0001]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "a.png is larger than 20 MB; send a smaller one"),
        (b"hello\n", "a.png is no picture that can be read: no picture format that is known"),
        (b"", "a.png is no picture that can be read: no picture format that is known: the file is empty"),
        (
            b"%PDF-1.7",
            "a.png is no picture that can be read: no picture format that is known: it looks like PDF",
        ),
    ],
)
def test_what_is_no_picture_is_refused_in_a_line(desk: Desk, cluster, content, said: str) -> None:
    cluster.run(RUN)
    answer = desk.answer(Upload("a.png", content), desk.choose().run, look=True)
    assert (answer.problem, answer.said) == (said, "")


def test_a_small_file_with_a_huge_picture_is_refused_before_it_is_decoded(desk: Desk, cluster) -> None:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 100_000
    cluster.run(RUN)
    answer = desk.answer(Upload("bomb.png", buffer.getvalue()), desk.choose().run, look=False)
    assert "20000 x 20000 pixels need 382 MiB of memory, a task here has 64" in answer.problem


@pytest.mark.parametrize("kind", ["plain", "eye"])
def test_pictures_are_prepared_as_the_set_was(kind: str) -> None:
    made = {"tolerance": 3, "masters": True}
    about = Manifest(kind=kind, channels=3, size=64, made_by=made)
    assert recipe_of(about, 32) == Recipe(kind, (32,), 3, 3, 1024)
    assert recipe_of(Manifest(channels=1), 16) == Recipe("plain", (16,), 1, 12, 256)


def test_what_it_sees_is_what_preprocessing_makes(desk: Desk, cluster) -> None:
    cluster.run(RUN)
    content = png(np.pad(bright(0.9), ((20, 20), (30, 5))))
    recipe = recipe_of(cluster.results.manifest("lamps"), SIDE)
    expected = looking.address(looking.shown(prepare(content, recipe).pictures[SIDE]))
    assert desk.answer(Upload("a.png", content), desk.choose().run, look=False).seen == expected


def test_a_model_of_another_scikit_learn_is_not_loaded(desk: Desk, cluster) -> None:
    cluster.run(RUN)
    about = cluster.root / "results" / RUN / "estimator" / "about.json"
    about.write_text(json.dumps({"scikit-learn": "0.1"}))
    with pytest.raises(NoModel, match=r"saved by scikit-learn 0\.1, and here is"):
        desk.pin(RUN)


@pytest.mark.parametrize("content", [b"", b"no such thing", b"cbuiltins\neval\n(V1/0\ntR."])
def test_a_model_that_fails_when_it_is_loaded_is_passed_over(desk: Desk, cluster, content: bytes) -> None:
    cluster.run(RUN, accuracy=0.9)
    (cluster.root / "results" / RUN / "estimator" / "estimator.joblib").write_bytes(content)
    cluster.run("cnn-20261129-110000-bbbb", accuracy=0.5)
    chosen = desk.ready()
    assert chosen.run.name == "cnn-20261129-110000-bbbb"
    (note,) = chosen.notes
    assert note.startswith(f"Passed over: the model of {RUN} cannot be loaded: ") and "\n" not in note


def test_a_model_that_is_too_large_is_not_loaded(cluster, tmp_path) -> None:
    cluster.run(RUN)
    with pytest.raises(NoModel, match="has 0 MiB, and the launcher takes 0 at most"):
        Desk(cluster.results, "lamps", 10, tmp_path).pin(RUN)


def test_it_looks_where_covering_changes_the_answer() -> None:
    def odds(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(-1, SIDE, SIDE)[:, :4, :4].mean(axis=(1, 2)) / 255

    picture = np.zeros((SIDE, SIDE, 1), np.uint8)
    picture[:4, :4] = 230
    heat = looking.importance(picture, odds)
    assert heat[0, 0] == 1.0 and heat[4:].max() == heat[:, 4:].max() == 0
    assert looking.importance(picture, odds, 4).shape == (4, 4)
    assert not looking.importance(picture, lambda rows: np.full(len(rows), 0.5)).any()


def test_a_slow_model_is_asked_about_fewer_squares() -> None:
    assert [looking.affordable(seconds) for seconds in (0.01, 0.3, 0.4, 0.6, 2.0)] == [8, 8, 7, 6, 4]
