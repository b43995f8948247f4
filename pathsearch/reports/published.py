"""Numbers that others published, each with its source and what it is over; nothing here was measured by us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Who published it: `short` for a table, `full` for a list, `address` a DOI or a stable page."""

    short: str
    full: str
    address: str


PAPER = Source(
    "the paper",
    "Yang, Zhang, Ren and Laili, *Multitask Learning for Medical Image Classification Using VGG Architecture*, "
    "IWISH 2020, pages 20 to 26",
    "https://doi.org/10.46354/i3m.2020.iwish.004",
)
DE_CHAZAL = Source(
    "de Chazal 2004",
    "de Chazal, O'Dwyer and Reilly, *Automatic Classification of Heartbeats Using ECG Morphology and Heartbeat "
    "Interval Features*, IEEE Transactions on Biomedical Engineering 51(7), 1196 to 1206",
    "https://doi.org/10.1109/TBME.2004.827359",
)
MONDEJAR = Source(
    "Mondéjar-Guerra 2019",
    "Mondéjar-Guerra, Novo, Rouco, Penedo and Ortega, *Heartbeat Classification Fusing Temporal and Morphological "
    "Information of ECGs via Ensemble of Classifiers*, Biomedical Signal Processing and Control 47, 41 to 48",
    "https://doi.org/10.1016/j.bspc.2018.08.007",
)

UMS_REP = Source(
    "UMS-Rep",
    "Zamzmi, Rajaraman and Antani, *UMS-Rep: Unified Modality-Specific Representation for Efficient Medical Image "
    "Analysis*, Informatics in Medicine Unlocked 24, 2021, 100571",
    "https://www.sciencedirect.com/science/article/pii/S2352914821000617",
)


@dataclass(frozen=True)
class Rates:
    """Accuracy and mean recall as published, in [0, 1]."""

    accuracy: float
    recall: float
    source: Source


@dataclass(frozen=True)
class PaperTask:
    """One task of the paper: how our runs of it are known, and the paper's rows.

    Attributes:
        title: the task in words.
        classes: class names of our prepared task, in order.
        split: name of the split that stands for the paper's.
        paper_split: what the paper says of its own.
        alone: its path network on this task alone.
        without: the same without the path network; ours is the linear probe.
        jointly: its answers to this task's images in the joint test.
        n_test: images of the published test split, where there is one.
    """

    title: str
    classes: tuple[str, ...]
    split: str
    paper_split: str
    alone: Rates
    without: Rates
    jointly: Rates
    n_test: int | None = None


@dataclass(frozen=True)
class Cited:
    """A row of the paper's table 1 on others' work, as the paper gives it: other classes, other images."""

    who: str
    method: str
    accuracy: float


CITED = (
    Cited("Acharya, Fujita et al. 2017", "CNN, 2 classes", 0.949),
    Cited("Inan et al. 2006", "neural network, 2 classes", 0.952),
)
PAPER_ENCODER = "VGG-16, ImageNet"
ECG = PaperTask(
    title="ECG, classes A, L, R",
    classes=("A", "L", "R"),
    split="random",
    paper_split="20 % for validation, test not described",
    alone=Rates(0.965, 0.968, PAPER),
    without=Rates(0.72, 0.56, PAPER),
    jointly=Rates(0.97, 0.97, PAPER),
)
PNEUMONIA = PaperTask(
    title="pneumonia",
    classes=("NORMAL", "PNEUMONIA"),
    split="official",
    paper_split="Kaggle's three parts",
    alone=Rates(0.88, 0.76, PAPER),
    without=Rates(0.48, 0.48, PAPER),
    jointly=Rates(0.85, 0.73, PAPER),
    n_test=624,  # 234 normal, 390 pneumonia: https://www.kaggle.com/paultimothymooney/chest-xray-pneumonia
)
PAPER_TASKS = (ECG, PNEUMONIA)
PAPER_JOINT = Rates(0.93, 0.88, PAPER)  # all images of both test sets


@dataclass(frozen=True)
class InterPatient:
    """A classifier of MIT-BIH's beats trained on DS1 and tested on DS2, classes after AAMI EC57."""

    method: str
    accuracy: float
    mean_sensitivity: float  # over N, S, V and F
    source: Source


INTER_PATIENT = (
    InterPatient("linear discriminants on morphology and intervals", 0.862, 0.832, DE_CHAZAL),
    InterPatient("ensemble of support vector machines", 0.945, 0.703, MONDEJAR),
)
INTER_PATIENT_NOTE = (
    "Both published rows are as the authors of the second compare them "
    "(https://github.com/mondejar/ecg-classification): accuracy over all beats of N, S, V and F together, "
    "sensitivity as the plain mean over these four classes, the unclassifiable class Q left out. Both methods know "
    "the intervals between beats; ours see what was drawn of one lead, which the notes of a row say."
)


@dataclass(frozen=True)
class Answers:
    """How good published masks or images are: each measure as published, by its name here; source None: not known."""

    method: str
    measures: Mapping[str, str]
    source: Source | None = UMS_REP


@dataclass(frozen=True)
class PaperAnswers:
    """Published rows of one task, and how our runs of it are known.

    Attributes:
        title: the task in words.
        target: that our runs ask for.
        source: a pattern that the source of our prepared task has.
        noise: whether our networks have to see through noise.
        split: what is said of it.
        rows: of the publications.
        note: what a reader must know to compare.
    """

    title: str
    target: str
    source: str
    noise: bool
    split: str
    rows: tuple[Answers, ...]
    note: str

    def is_of(self, target: str, source: str, noise: bool) -> bool:
        """Whether it stands beside runs of this target, source of the prepared task, and with or without noise."""
        return self.target == target and self.noise <= noise and re.search(self.source, source) is not None


LUNGS = PaperAnswers(
    title="lungs",
    target="mask",
    source="Shenzhen.*Montgomery",  # in this order: the one to train on, the other for the test
    noise=False,
    split="Shenzhen to Montgomery",
    rows=(
        Answers("U-Nets", {"dice": "0.942 to 0.946"}, None),
        Answers("UMS-Rep, independent", {"dice": "F 0.96", "pixel_accuracy": "0.99"}),
        Answers("UMS-Rep, alternating", {"dice": "F 0.95", "pixel_accuracy": "0.99"}),
        Answers("UMS-Rep, joint", {"dice": "F 0.92", "pixel_accuracy": "0.92"}),
        Answers("UMS-Rep's baseline, a separate model", {"dice": "F 0.91", "pixel_accuracy": "0.97"}),
    ),
    note="Published for lungs: of the U-Nets that were trained on Shenzhen and tested on Montgomery we have the "
    "numbers, not who published them. UMS-Rep's are of its table 3; F is Dice, and it does not say over what. That "
    "table also has an IoU for each, 0.98, 0.96, 0.94 and 0.95, above F for the same masks. That cannot be, as an IoU "
    "is never above F: it is left out here.",
)
DENOISING = PaperAnswers(
    title="chest X-rays, denoised",
    target="image",
    source="chest X-ray",
    noise=True,
    split="its own test images",
    rows=tuple(
        Answers(f"UMS-Rep, {noise}", {"psnr": psnr, "ssim": ssim, "ms_ssim": fine})
        for noise, psnr, ssim, fine in (
            ("Gaussian, 1st strength", "39.05", "0.96", "0.99"),
            ("Gaussian, 2nd strength", "35.38", "0.91", "0.98"),
            ("Gaussian, 3rd strength", "32.75", "0.89", "0.95"),
            ("Gaussian, 4th strength", "30.54", "0.85", "0.91"),
            ("Gaussian, 5th strength", "28.35", "0.79", "0.88"),
            ("Poisson", "33.37", "0.93", "0.97"),
        )
    ),
    note="Published for denoising: UMS-Rep's table 2, in its order. The strengths of its noise are lost in the copy of "
    "the text that we have, so no row of ours is known to have the noise of one of these.",
)
PAPER_ANSWERS = (LUNGS, DENOISING)
