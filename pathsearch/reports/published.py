"""Numbers that others published, each with its source and what it is over; nothing here was measured by us."""

from __future__ import annotations

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
