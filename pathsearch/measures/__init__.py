"""Rates, intervals, paired tests, fronts, calibration: nothing here knows a network.

- `auc`: The area under the ROC curve by ranks, one class against the rest, and what each image adds to its error.
- `box_overlap`: How well two boxes agree: intersection over union, pair by pair.
- `clusters`: Which images belong together: patients, or whatever else makes images of one source more alike than
  others.
- `confusions`: A confusion table in a report: whole for few classes, its filled cells for many, and its largest
  confusions.
- `fronts`: Accuracy against size: what each number of parameters buys, and how much of the plane a front covers.
- `intervals`: 95 % intervals of rates: by image where images are independent, by group where groups are known.
- `means`: Means over images of whatever is measured image by image, each with its spread and its 95 % interval.
- `measure`: The measure that a run maximises, image by image: what each image adds to it, and to its error.
- `metrics`: From labels and probabilities to rates, confidence intervals and a confusion table.
- `one_error`: One standard error of a measure, and the rule that the smallest within one of the best is taken.
- `overlap`: How well two masks of one image agree, from counts of their pixels: Dice, intersection over union, MCC.
- `paired`: Two networks on the same images: is one better by the measure that was maximised, and how sure is that?
- `rates`: The rates of a set of answers as a report has them, and how they are read back.
- `reliability`: Do probabilities mean what they say? One temperature fitted on validation, and what it changes.
- `similarity`: How alike two pictures are: SSIM, MS-SSIM, and the peak signal-to-noise ratio.
- `standing`: Better, worse, or no difference shown: the three answers that a paired test allows.
- `statistics`: Tests that a comparison rests on: two methods on the same images, over seeds, and classes between
  splits.
- `surfaces`: How far the outlines of two masks are apart, in pixels.
"""
