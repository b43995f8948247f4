"""What is said of two encoders that are not one."""

from __future__ import annotations

import pytest

from pathsearch.run.same_encoder import beside, described

ONE = {
    "name": "resnet18",
    "weights": "random (He, seed 0)",
    "weights_sha256": "aa",
    "image_size": 32,
    "map_size": 4,
    "feature_shape": [512, 1, 1],
    "key": "k1",
}
WORDS = "resnet18, random (He, seed 0), 32 px"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"map_size": 2, "feature_shape": [512, 2, 2]}, f"{WORDS}, map_size 2, not 4"),
        ({"taps": [512, 256], "feature_shape": [768, 1, 1]}, f"{WORDS}, taps [512, 256], not the last"),
        ({"precision": "bfloat16"}, f"{WORDS}, precision bfloat16, not float32"),
        ({"weights_sha256": "bb"}, f"{WORDS}, weights_sha256 bb, not aa"),
        ({"feature_shape": [512, 2, 2]}, f"{WORDS}, feature_shape [512, 2, 2], not [512, 1, 1]"),
        ({"name": "vgg16", "weights_sha256": "bb", "feature_shape": [2]}, "vgg16, random (He, seed 0), 32 px"),
        ({"image_size": 64, "map_size": 2}, "resnet18, random (He, seed 0), 64 px, map_size 2, not 4"),
    ],
)
def test_what_the_usual_words_do_not_tell_is_added(changes, said):
    assert beside({**ONE, **changes, "key": "k2"}, ONE) == said


def test_each_run_s_encoder_is_told_with_all_that_differs():
    said = described({"a": ONE, "b": {**ONE, "precision": "bfloat16"}})
    assert said == f"a: {WORDS}, precision float32; b: {WORDS}, precision bfloat16"
