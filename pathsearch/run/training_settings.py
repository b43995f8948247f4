"""Settings of the last training of a path, and the rule by which its answers are decided."""

from __future__ import annotations

import math
from dataclasses import dataclass

from data_prep.errors import PathsearchError
from pathsearch.run.declared import BALANCE, setting
from pathsearch.run.setting_checks import check_settings

NOISES = "none, gaussian:SD or gaussian:LOW-HIGH as shares of the full range, or poisson:PHOTONS at full brightness"
THRESHOLDS = "argmax, balanced or sensitivity:S with S between 0 and 1"


def parse_threshold(rule: str) -> tuple[str, float]:
    """Split a threshold rule into its name and number; raise `PathsearchError` if it is none."""
    name, _, number = rule.partition(":")
    try:
        value = float(number or 0)
    except ValueError:
        value = -1.0
    if rule in ("argmax", "balanced") or (name == "sensitivity" and 0 < value < 1):
        return name, value
    raise PathsearchError(f"threshold: expected {THRESHOLDS}, got {rule!r}")


def parse_noise(text: str) -> tuple[str, float, float] | None:
    """Read noise as its kind, its least and its greatest strength; None for none.

    Raises:
        PathsearchError: it is none of the forms.
    """
    if text == "none":
        return None
    kind, _, strength = text.partition(":")
    first, _, last = strength.partition("-")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low = high = math.nan
    if not (0 < low <= high <= 1 if kind == "gaussian" else kind == "poisson" and 0 < low == high <= 1e6):
        raise PathsearchError(f"noise: expected {NOISES}, got {text!r}")
    return kind, low, high


@dataclass(frozen=True)
class TrainingSettings:
    """The last training of a path; the baselines get exactly the same."""

    epochs: int = setting(
        20, "Epochs of the last training at most.", "the rate reaches zero at the last", low=1, high=1_000_000
    )
    patience: int = setting(
        10,
        "Epochs without a better calibrated likelihood on validation before it stops.",
        "half of the epochs",
        low=1,
        high=1_000_000,
    )
    batch_size: int = setting(
        128,
        "Images in a minibatch of the last training.",
        "twice the search's, since one path costs little",
        low=1,
        high=1_000_000,
    )
    optimiser: str = setting(
        "adamw",
        "Optimiser of the last training: adamw, or adam, rmsprop, sgd, whose weight decay is in the gradient.",
        "as in the search",
        choices=("adamw", "adam", "rmsprop", "sgd"),
    )
    schedule: str = setting(
        "cosine",
        "Its rate: falling along a cosine, to a tenth on a plateau of half the patience, or constant.",
        "the rate reaches zero at the last epoch, and asks for no plateau",
        choices=("cosine", "plateau", "constant"),
    )
    learning_rate: float = setting(2e-3, "Learning rate of the last training at its start.", "as in the search", low=0)
    weight_decay: float = setting(
        3.0,
        "Weight decay of the last training; AdamW's is decoupled from the gradient.",
        "a tenth as much and three times as much validated no better",
        low=0,
    )
    dropout: float = setting(
        0.5,
        "Dropout after each layer's sum, in the last training.",
        "strong, since weaker regularisation validated no better",
        low=0,
        below=1,
    )
    label_smoothing: float = setting(
        0.0,
        "Share of each target that is spread over all classes.",
        "it cost a quarter of the validation likelihood where it was tried",
        low=0,
        below=1,
    )
    average: float = setting(
        0.99,
        "Decay a step of the running average of the weights, which is what is scored and kept.",
        "the mean of the last hundred steps or so",
        low=0,
        below=1,
    )
    views: int = setting(
        1,
        "Encoded views of each training image; above 1: flips, scales, turns.",
        "each more encodes all training images once more",
        low=1,
        high=1000,
        option="--views",
    )
    augmentation: str = setting(
        "paper",
        "How further views differ: paper (little), or strong (turns, sizes and tones, for images of other devices).",
        "what the paper does; what strong views are worth was not measured yet",
        choices=("paper", "strong"),
    )
    noise: str = setting(
        "none",
        "Noise on all images that a network from pixels sees: gaussian:SD, gaussian:LOW-HIGH or poisson:PHOTONS.",
        "only who wants to denoise needs it",
        form=parse_noise,
        like=NOISES,
    )
    begin: str = setting(
        "new",
        "On an earlier grid, a task's own layers begin new, or as its youngest expert left its own (earlier).",
        "what another target has learned there may not help",
        choices=("new", "earlier"),
    )
    balance: bool = setting(
        False, "Every class weighs the same in the last training's loss.", "rates per class are reported either way"
    )
    balance_strength: float = setting(
        1.0,
        "How much the last training's balance does; 0.5 is halfway.",
        "all of it; less, where full weight costs too much accuracy",
        low=0,
        high=1,
        ends=BALANCE,
    )
    images_per_class: int | None = setting(
        None,
        "This few training images of a class, drawn by the seed, and at most as many for validation; null: all.",
        "a study of few labels asks for less",
        low=2,  # one image of a class has no spread
        high=10_000_000,
    )
    refit: bool = setting(
        True,
        "Train once more on training and validation images together, when all is chosen.",
        "more images, and nothing left to choose",
    )
    finalists: int = setting(
        6,
        "Paths trained to the end, from which the smallest within one standard error is chosen.",
        "scores of a search do not tell the best few apart",
        low=1,
        high=10_000,
    )
    probe: bool = setting(
        True,
        "The linear probe is one of the finalists, beside them, and may become the expert.",
        "so that an expert is never knowingly worse than it",
    )
    choice_folds: int | None = setting(
        None,
        "Parts of training and validation images that finalists are cross-validated on; 1: validation alone chooses.",
        "3 below 2,000 validation images, which tell too little: 3 more trainings a finalist; 1 from there on",
        low=1,
        high=1000,
    )
    random_paths: int = setting(
        5, "Random paths trained beside it as baselines.", "enough for a spread", low=0, high=10_000
    )
    threshold: str = setting(
        "argmax",
        "Two classes: argmax, balanced, or sensitivity:0.95; fixed on validation.",
        "the most probable class needs no choice",
        form=parse_threshold,
        like=THRESHOLDS,
        option="--threshold",
    )

    def __post_init__(self) -> None:
        check_settings(self)
