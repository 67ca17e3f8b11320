"""Classes of prepared sets, whose numbers need not be 0, 1, 2 …"""

from __future__ import annotations

import classes
import pytest

from muster_node.sets import Manifest

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
