"""Classes of prepared sets, whose numbers need not be 0, 1, 2 …"""

from __future__ import annotations

import classes
import pytest

from muster_node.sets import BALANCES, Manifest

FROM_ONE = Manifest(
    dataset="eyes", set="train_16", rows=7, classes={"1": 1, "2": 2, "4": 4}, rows_per_class={"1": 4, "2": 3}
)


def test_numbers_that_no_class_has_are_counted_too():
    assert classes.count(FROM_ONE) == 5
    assert classes.names(FROM_ONE) == ["0", "1", "2", "3", "4"]
    assert classes.rows(FROM_ONE) == [0, 4, 3, 0, 0]
    assert classes.names(Manifest(classes={"wet": 1, "dry": 0})) == ["dry", "wet"]


def test_weights_give_every_class_the_same_say():
    assert classes.weights([6, 0, 3]) == [0.75, 1.0, 1.5]
    assert classes.weights([6, 0, 3], "weights") == [0.75, 1.0, 1.5]
    assert classes.weights([6, 0, 3], "subsample") == classes.weights([6, 0, 3], "none") == [1.0] * 3
    assert "weights" in BALANCES


def test_shares_are_of_each_class_and_by_subsampling_as_many_of_each():
    rows = [800, 100, 0, 0, 50]
    assert classes.shares(rows, sample=1, balance="none") == ()
    assert classes.shares(rows, sample=1, balance="weights") == ()
    assert classes.shares(rows, sample=0.2, balance="none") == (0.2,) * 5
    shares = classes.shares(rows, sample=1, balance="subsample")
    assert [count * share for count, share in zip(rows, shares, strict=True) if count] == [50, 50, 50]
    assert classes.taken(rows, shares) == 150 and classes.taken(rows, ()) == 950
    assert classes.taken(rows, (0.2,) * 5) == 190


def test_rows_of_two_classes_are_needed():
    classes.require_two([1, 0, 1])
    with pytest.raises(
        classes.BadClasses, match="of 3 rows taken none tell two classes apart: take a larger"
    ):
        classes.require_two([0, 3])


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"rows": 2, "rows_per_class": {"0": 2, "1": 1}}, "images with several labels"),
        ({"rows": 2, "rows_per_class": {"1": 2}}, "all 2 rows of train_16 of eyes are of one class"),
        ({"rows": 2, "classes": {"1": 1, "2016": 20_160}}, "has labels up to 20,160, and numbers"),
    ],
)
def test_what_no_classifier_can_learn_is_refused_in_a_line(about, said):
    classes.require_learnable(FROM_ONE)
    known = {"dataset": "eyes", "set": "train_16", "classes": {"1": 1, "2": 2}}
    with pytest.raises(classes.BadClasses) as refusal:
        classes.require_learnable(Manifest(**known | about))
    assert said in str(refusal.value) and "\n" not in str(refusal.value)
