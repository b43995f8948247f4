"""What a task asks for: truth, head, loss, score, what is fixed on validation, measures. Classes are the first.

- `boxes`: The box target: the upright box around what an image shows.
- `calibrated`: The likelihood of the true classes at the best temperature: what a last training stops by.
- `class_reading`: What paths say of the classes of validation images, reduced batch by batch to what a measure needs
  of it.
- `classes`: The class target: an answer is one of K names, from logits; the first target, and the default.
- `constant_masks`: The best mask that looks at no image: what any network has to beat.
- `decision`: From probabilities to a class: the most probable one, or for two classes a threshold fixed on
  validation.
- `decoded`: An answer to one image, decoded: what a person or a program is given of a network's output.
- `dense`: Targets that answer at every position of a map: their head, and how a map is brought to the size of the
  truth.
- `extremes`: The test images that a person is shown, worst to best, and how good answers are against size.
- `mask_loss`: The loss of masks: cross-entropy of pixels and soft Dice, of every path for every image at once.
- `masks`: The mask target: which of K names, background first, each pixel has.
- `measuring`: What is measured of answers: the numbers that people read, with their errors, over the images that have
  a truth.
- `mistakes`: The wrong answers that a path was surest of: what a reader asks to see first.
- `neighbours`: k-nearest neighbours on pooled features: what the encoder alone knows of the classes, without a weight
  trained.
- `pictures`: The image target: the image itself, clean, whatever was done to what the network sees.
- `reading`: How good paths are: a fitness, and what is read of many paths' answers, batch by batch.
- `target`: A target: what a task asks for, from its truth to the numbers that a person reads. The base of all, and
  their names.
"""

from pathsearch.targets.boxes import BoxTarget
from pathsearch.targets.classes import ClassTarget
from pathsearch.targets.masks import MaskTarget
from pathsearch.targets.pictures import ImageTarget
from pathsearch.targets.target import Target, make_target, register, target_of

__all__ = ["BoxTarget", "ClassTarget", "ImageTarget", "MaskTarget", "Target", "make_target", "register", "target_of"]
