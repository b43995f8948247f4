"""What is drawn and written of a run for a reader, by name: a run that starts again removes it first."""

from __future__ import annotations

FIGURES = (
    *("fitness_curve", "training_curve", "path_on_grid", "paths", "confusion_validation", "confusion_test"),
    *("baselines", "finalists", "reliability", "answers", "against_size"),
)
DRAWN = ("report.html", "pictures.json", *(f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")))
