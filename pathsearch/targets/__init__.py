"""What a task asks for: truth, head, loss, score, what is fixed on validation, measures. Classes are the first.

- `calibrated`: The likelihood of the true classes at the best temperature: what a last training stops by.
- `class_reading`: What paths say of the classes of validation images, reduced batch by batch to what a measure needs of
  it.
- `classes`: The class target: an answer is one of K names, from logits; the first target, and the default.
- `decision`: From probabilities to a class: the most probable one, or for two classes a threshold fixed on validation.
- `mistakes`: The wrong answers that a path was surest of: what a reader asks to see first.
- `neighbours`: k-nearest neighbours on pooled features: what the encoder alone knows of the classes, without a weight
  trained.
- `target`: A target: what a task asks for, from its truth to the numbers that a person reads. The base of all, and
  their names.
"""

from pathsearch.targets.classes import ClassTarget
from pathsearch.targets.target import Target, make_target, register, target_of

__all__ = ["ClassTarget", "Target", "make_target", "register", "target_of"]
