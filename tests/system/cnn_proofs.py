"""What jobs/cnn does with PyTorch, proved on a node, where that is: submitted as `main.py` beside the job's modules.

Prints `proved NAME` for each proof; the first that fails ends it.
"""

from __future__ import annotations

import dataclasses
import io
import os
import secrets
import sys
import tempfile
import threading
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import scripted
import torch
from checkpoints import NAME, Checkpoints, load
from exchange import Alone
from fit import Fit
from networks import CHOICES, build
from objective import OneClass, Ordinal, Several
from opening import Sets
from parameters import Parameters
from pieces import TooLarge
from PIL import Image
from plan import plan, sides
from pyarrow import parquet
from resuming import resumed
from sklearn.datasets import load_digits
from training import Answering, Learner

from muster_node import sets
from muster_node.hdfs.folder import Folder

ROWS = 160
HERE = torch.device("cpu")
SEED = int(os.environ.get("PROOFS_SEED", secrets.randbelow(10**6)))


class Broken(Exception):
    """Stands for a machine that is gone."""


def make_sets(root: Path) -> Sets:
    """Write some digits at 16x16 and 32x32, and at 16x16 with what is true of each: odd, large, both or nothing."""
    for side in (16, 32):
        write_set(root, "digits", side, lambda digit: digit, classes=10)
    write_set(root, "truths", 16, lambda digit: [0] * (digit % 2) + [1] * (digit > 4), classes=2)
    files = fsspec.filesystem("dir", path=str(root), fs=fsspec.filesystem("file"))
    return Sets("digits", "", Folder(root), files)


def write_set(root: Path, dataset: str, side: int, label, *, classes: int) -> None:
    """Write a set of digits, of which two and two are of one subject; `label` makes a digit's label."""
    digits, counts = load_digits(), [0] * classes
    folder = root / sets.staged_folder(dataset, sets.TRAIN, side).lstrip("/")
    folder.mkdir(parents=True)
    table = {"id": [], "label": [], "subject": [], "image": []}
    for number in range(ROWS):
        packed, found = io.BytesIO(), label(int(digits.target[number]))
        scan = Image.fromarray((digits.images[number] * 255 / 16).round().astype(np.uint8))
        scan.resize((side, side)).save(packed, "PNG")
        for each in found if isinstance(found, list) else [found]:
            counts[each] += 1
        row = (f"{number}", found, f"s{number // 2}", packed.getvalue())
        for name, value in zip(table, row, strict=True):
            table[name].append(value)
    parquet.write_table(pyarrow.table(table), folder / "part-00000.parquet", row_group_size=50)
    about = sets.Manifest(
        dataset=dataset, set=sets.set_name(sets.TRAIN, side), rows=ROWS, columns=side * side + 1, size=side,
        classes={str(number): number for number in range(classes)},
        rows_per_class={str(number): count for number, count in enumerate(counts)},
    )  # fmt: skip
    (folder / sets.STAGED_MANIFEST).write_text(about.to_json())


def fit_of(asked: Parameters, found: Sets, run: str, exchange=None) -> Fit:
    wanted = plan(asked, found.about(sets.TRAIN, sides(asked)[-1]))
    kept = Checkpoints(found.hdfs, f"/results/{run}")
    return Fit(asked, wanted, found, exchange or Alone(), HERE, kept, lambda _: None)


def same(left: Learner, right: Learner) -> bool:
    """Whether two networks are the same, bit by bit."""
    others = right.network.state_dict()
    return all(torch.equal(each, others[name]) for name, each in left.network.state_dict().items())


def a_broken_run_goes_on_to_the_same_end(found: Sets) -> None:
    asked = Parameters(
        size=256, dataset="digits", sizes="16,32", epochs=6, batch=16, validation=0.2, patience=5, seed=3
    )
    whole, course = fit_of(asked, found, "whole").run()
    steps = 0
    limit = int(np.random.default_rng(SEED).integers(9, 42))
    honest = Learner.step

    def step(learner: Learner, *arguments):
        nonlocal steps
        steps += 1
        if steps == limit:
            raise Broken
        return honest(learner, *arguments)

    Learner.step = step
    try:
        fit_of(asked, found, "broken").run()
        raise AssertionError(f"it was to be broken off at step {limit}")
    except Broken:
        pass
    finally:
        Learner.step = honest
    state = load(found.hdfs, "broken")
    assert 0 < len(state["course"]["losses"]) < 6
    again = resumed(Parameters(size=16, resume="broken"), state, {"resume": "broken"})
    assert dataclasses.replace(again, resume="") == asked
    other, again_course = fit_of(again, found, "again").run(state)
    assert again_course == course, (course, again_course)
    assert same(whole, other)


def processes_that_share_batches_learn_what_one_learns(found: Sets) -> None:
    asked = Parameters(size=16, dataset="digits", epochs=3, batch=16, dropout=0.0)
    alone, course = fit_of(asked, found, "alone").run()
    ranks = 3
    barrier, numbers, learnt = threading.Barrier(ranks, timeout=60), {}, {}

    class Shared:
        def __init__(self, rank: int) -> None:
            self.rank, self.ranks = rank, ranks

        def add(self, tensor) -> None:
            numbers[self.rank] = tensor.clone()
            barrier.wait()
            total = sum(numbers[rank] for rank in range(ranks))
            barrier.wait()
            tensor.copy_(total)

    fits = [fit_of(asked, found, f"rank{rank}", Shared(rank)) for rank in range(ranks)]

    def run(rank: int) -> None:
        try:
            learnt[rank] = fits[rank].run()
        except BaseException:
            barrier.abort()
            raise

    lock, made = threading.Lock(), Fit._learner

    def build(fit: Fit, *arguments) -> Learner:
        """One after another: these threads have one source of random numbers, which processes do not share."""
        with lock:
            learner = made(fit, *arguments)
        barrier.wait()
        return learner

    Fit._learner = build
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(ranks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Fit._learner = made
    assert len(learnt) == ranks
    assert all(same(learnt[0][0], learnt[rank][0]) for rank in range(1, ranks))
    others = learnt[0][0].network.state_dict()
    for name, each in alone.network.state_dict().items():
        assert torch.allclose(each, others[name], atol=1e-3), (name, (each - others[name]).abs().max())
    assert np.allclose(course.losses, learnt[0][1].losses, atol=1e-3)


def probabilities_are_of_the_chosen_classes(_: Sets) -> None:
    said = torch.randn(50, 4) * 5
    for objective in (OneClass(5, (0, 1, 2, 4)), Ordinal(5, (0, 1, 2, 4))):
        shares = objective.probabilities(said[:, : objective.outputs])
        assert shares.shape == (50, 5) and torch.allclose(shares.sum(dim=1), torch.ones(50), atol=1e-5)
        assert bool((shares >= 0).all()) and not shares[:, 3].any()
        losses = objective.losses(said[:, : objective.outputs], [(4,)] * 50)
        assert losses.shape == (50,) and bool((losses >= 0).all())
    several = Several(3).losses(torch.tensor([[9.0, -9.0, 9.0], [-9.0, -9.0, -9.0]]), [(0, 2), ()])
    assert several.shape == (2,) and float(several.max()) < 1e-3


def grades_are_learnt_in_their_order(found: Sets) -> None:
    asked = Parameters(size=16, dataset="digits", epochs=4, batch=16, output="ordinal", only="0,4,7")
    fit = fit_of(asked, found, "grades")
    learner, course = fit.run()
    assert course.losses[-1] < course.losses[0]
    tally = fit.tally()
    learner.ask(fit._open(16).loader.in_order("train", 16), tally)
    assert set(np.flatnonzero(tally.matrix.sum(axis=0))) <= {0, 4, 7}


def several_labels_are_learnt(found: Sets) -> None:
    asked = Parameters(size=16, dataset="truths", epochs=6, batch=16, output="several", balance="weights")
    fit = fit_of(asked, Sets("truths", "", found.hdfs, found.files), "truths")
    learner, _ = fit.run()
    tally = fit.tally()
    learner.ask(fit._open(16).loader.in_order("train", 16), tally)
    assert tally.summary()["f2"] > 0.8, tally.summary()


def networks_take_pictures_of_any_size(_: Sets) -> None:
    for name in CHOICES:
        for channels in (1, 3):
            network = build(name, channels=channels, side=16, outputs=5, dropout=0.5)
            for side in (16, 32):
                assert network(torch.randn(2, channels, side, side)).shape == (2, 5), name


def a_saved_network_answers_as_it_did(found: Sets) -> None:
    asked = Parameters(size=16, dataset="digits", epochs=1, network="resnet18", batch=80, validation=0.0)
    learner, _ = fit_of(asked, found, "saved").run()
    pixels = np.random.default_rng(1).integers(0, 256, (600, 256), dtype=np.uint8)
    answering = Answering(learner.network, learner.objective).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        scripted.save(answering, torch.zeros(1, 1, 16, 16), Path(folder))
        rows = ((number, row) for number, row in enumerate(pixels))
        said = list(scripted.ask(rows, str(Path(folder) / scripted.MODEL), 1))
        expected = answering(scripted.pictures(pixels, 1)).numpy()
    assert [key for key, _ in said] == list(range(600))
    assert np.allclose([share for _, share in said], expected, atol=1e-5)


def networks_take_the_pixels_that_are_asked_for(found: Sets) -> None:
    """The digits' first and last columns never differ: at 16x16 a network of the others answers the same."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 256), dtype=np.uint8)
    for network, variant in (("mlp", "varying"), ("small", "varying"), ("small", "raw"), ("mlp", "scaled")):
        asked = Parameters(size=16, dataset="digits", epochs=3, batch=16, network=network, variant=variant)
        learner, course = fit_of(asked, found, f"{network}-{variant}").run()
        assert course.losses[-1] < course.losses[0], (network, variant, course.losses)
        with tempfile.TemporaryDirectory() as folder:
            answering = Answering(learner.network, learner.objective)
            scripted.save(answering, torch.zeros(1, 1, 16, 16), Path(folder))

            def said(rows, place=str(Path(folder) / scripted.MODEL), given=variant):
                return np.array([share for _, share in scripted.ask(enumerate(rows), place, 1, given)])

            before = said(pixels)
            edges = pixels.reshape(-1, 16, 16).copy()
            edges[:, :, 0] = 255 - edges[:, :, 0]
            same = np.allclose(said(edges.reshape(-1, 256)), before, atol=1e-5)
            assert same == (variant == "varying"), (network, variant)


def batches_that_do_not_fit_are_learnt_in_pieces(found: Sets) -> None:
    """Where memory runs out above five pictures at once (errors as a GPU gives them), all is learnt as without."""
    asked = Parameters(size=16, dataset="digits", epochs=3, batch=16, dropout=0.0)
    whole, course = fit_of(asked, found, "whole").run()
    fit, lines = fit_of(asked, found, "pieces"), []
    fit.say = lines.append
    made, most = Fit._learner, 5

    def tight(fit: Fit, *arguments) -> Learner:
        learner = made(fit, *arguments)
        learner.network.register_forward_pre_hook(room)
        return learner

    def room(_, arguments) -> None:
        if len(arguments[0]) > most:
            raise torch.OutOfMemoryError

    Fit._learner = tight
    try:
        pieces, other = fit.run()
        said = [line for line in lines if "does not hold" in line]
        assert [line.split(": ")[1].split()[0] for line in said] == ["9", "5"], lines
        assert np.allclose(course.losses, other.losses, atol=1e-4), (course.losses, other.losses)
        others = pieces.network.state_dict()
        for name, each in whole.network.state_dict().items():
            assert torch.allclose(each, others[name], atol=1e-3), name
        most = 0
        fit_of(asked, found, "none").run()
        raise AssertionError("not one picture fits, and nobody says so")
    except TooLarge:
        pass
    finally:
        Fit._learner = made


def peak_mb() -> int:
    """Return the most memory that this process has had, in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) // 1024


def many_large_pictures_are_asked_in_batches_that_fit(_: Sets) -> None:
    """However many they are: 256 pictures of 128x128 at once took 1,050 MiB."""
    network = build("small", channels=1, side=128, outputs=5, dropout=0.0)
    with tempfile.TemporaryDirectory() as folder:
        scripted.save(network, torch.zeros(1, 1, 128, 128), Path(folder))
        before, draws = peak_mb(), np.random.default_rng(1)
        rows = ((number, draws.integers(0, 256, 128 * 128, dtype=np.uint8)) for number in range(300))
        assert sum(1 for _ in scripted.ask(rows, str(Path(folder) / scripted.MODEL), 1)) == 300
        assert peak_mb() - before < 300, peak_mb() - before


def main() -> None:
    """Prove all."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HADOOP_CONF_DIR"] = folder
        site = (
            "<configuration><property><name>dfs.replication</name><value>1</value></property></configuration>"
        )
        (Path(folder) / "hdfs-site.xml").write_text(site)
        found = make_sets(Path(folder))
        sys.stdout.write(f"seed {SEED}\n")
        for proof in (
            probabilities_are_of_the_chosen_classes,
            networks_take_pictures_of_any_size,
            networks_take_the_pixels_that_are_asked_for,
            batches_that_do_not_fit_are_learnt_in_pieces,
            a_saved_network_answers_as_it_did,
            many_large_pictures_are_asked_in_batches_that_fit,
            grades_are_learnt_in_their_order,
            several_labels_are_learnt,
            a_broken_run_goes_on_to_the_same_end,
            processes_that_share_batches_learn_what_one_learns,
        ):
            proof(found)
            sys.stdout.write(f"proved {proof.__name__}\n")
        assert (Path(folder) / "results/again" / NAME).is_file()


if __name__ == "__main__":
    main()
