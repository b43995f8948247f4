"""A heart beat as a picture together with its context: three drawings, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from data_prep.beat_context import Typical, levelled, relative_intervals
from data_prep.beat_drawing import MARGIN, OVERSAMPLING, TRACE_WIDTH, draw_beat
from data_prep.beats import Beats
from data_prep.errors import PathsearchError

CONTEXTS = {  # what `task.json` says of each
    "none": "none: the beat alone",
    "strip": (
        "upper half: the beat alone; lower half: the same channel from 2 s before to 2 s after the R peak, scaled to "
        "its own range; beyond an end of the record its last value goes on"
    ),
    "relative": (
        "upper half: the beat less the record's typical beat (the median of all its beats), filled, in units of the "
        "typical beat's range; lower half: two bars, the R-R intervals before and after the beat over the record's "
        "median interval (half height is 1, the top 1.5, the bottom 0.5); what kind of beat an annotation says is not "
        "read, but the places of all annotated beats are, and the signal of the whole record"
    ),
    "rhythm": (
        "upper half: the beat less the typical beat of the record's slowest steady rhythm, filled, in units of that "
        "beat's range; lower half: two bars, the R-R intervals before and after the beat over that rhythm's interval "
        "(the bottom is 0.3, the top 1.3); an interval is steady if neither neighbour differs by a tenth; the rhythm's "
        "interval is the 90 % quantile of the steady ones (the median of all where fewer than 15 % are steady), its "
        "typical beat the median of the beats after a steady interval of at least 0.9 of it (of all beats where these "
        "are fewer than 5); what kind of beat an annotation says is not read, but the places of all annotated beats "
        "are, and the signal of the whole record"
    ),
}
STRIP_SECONDS = 2.0  # on each side: one or two neighbours on each side at any usual rate
N_INTERVALS = 1  # on each side of the beat: two and three told S from N less well on patients held out of DS1
RELATIVE_FLOOR = 0.5  # the interval of no bar; a bar of full height is 1 more
RHYTHM_FLOOR = 0.3  # the reference is a long interval, so that many S beats come at half of it or less
GAIN = 0.31  # of the half image's height for the typical beat's range: most ectopic beats still fit


def check_context(context: str) -> None:
    """Refuse a name that is no context."""
    if context not in CONTEXTS:
        raise PathsearchError(f"--context: expected {', '.join(CONTEXTS)}, got {context!r}")


def painter(context: str, beats: Beats, half_window: int, image_size: int) -> Callable[[int], Image.Image]:
    """What draws beat number i of `beats` with its context.

    Args:
        context: a name of `CONTEXTS`.
        beats: their windows and records.
        half_window: of the windows.
        image_size: side of the square images in pixels.
    """
    if context == "none":
        return lambda number: draw_beat(beats.windows[number], image_size)
    if context == "strip":

        def with_strip(number: int) -> Image.Image:
            recording = beats.recordings[beats.records[number]]
            strip = recording.window(beats.samples[number], round(STRIP_SECONDS * recording.rate))
            return draw_with_strip(beats.windows[number], strip, image_size)

        return with_strip
    reference, floor = Typical.of, RELATIVE_FLOOR
    if context == "rhythm":
        reference, floor = Typical.of_slowest_rhythm, RHYTHM_FLOOR
    typical = {name: reference(beats.recordings[name], half_window) for name in dict.fromkeys(beats.records)}

    def relative(number: int) -> Image.Image:
        name = beats.records[number]
        recording, usual = beats.recordings[name], typical[name]
        intervals = relative_intervals(recording, usual, beats.samples[number], N_INTERVALS, N_INTERVALS)
        difference = levelled(beats.windows[number]) - usual.beat
        return draw_relative(difference, float(np.ptp(usual.beat)), intervals, image_size, floor)

    return relative


def draw_with_strip(window: np.ndarray, strip: np.ndarray, image_size: int) -> Image.Image:
    """The beat in the upper half, a longer strip around it in the lower half, each scaled to its own range.

    Args:
        window: samples of the beat.
        strip: samples around it.
        image_size: side of the square image in pixels.

    Returns:
        Mode "L", `image_size` × `image_size`; time to the right, voltage upwards.
    """
    picture, side = _canvas(image_size)
    for top, samples in ((0.0, window), (0.5, strip)):
        low, high = float(samples.min()), float(samples.max())
        height = (samples - low) / (high - low) if high > low else np.full(len(samples), 0.5)
        y = (top + (1 - MARGIN - height * (1 - 2 * MARGIN)) / 2) * (side - 1)
        points = np.stack([np.linspace(0, side - 1, len(samples)), y], axis=1).ravel().tolist()
        ImageDraw.Draw(picture).line(points, fill=255, width=max(1, round(side * TRACE_WIDTH)))
    return picture.reduce(OVERSAMPLING)


def draw_relative(
    difference: np.ndarray,
    unit: float,
    intervals: Sequence[float] | np.ndarray,
    image_size: int,
    floor: float = RELATIVE_FLOOR,
) -> Image.Image:
    """How the beat differs from its record's typical one, above how early it comes.

    Areas, not lines: a pooled feature map tells how much, and a beat like the typical one leaves its half dark.

    Args:
        difference: samples of the beat less those of the typical beat; 0 lies in the middle of the upper half.
        unit: range of the typical beat; a difference as large is `GAIN` of the upper half.
        intervals: relative to the record's typical one, in order of time, a bar of equal width each, without gaps.
        image_size: side of the square image in pixels.
        floor: the interval of no bar; one longer by 1 fills the lower half.

    Returns:
        Mode "L", `image_size` × `image_size`; time to the right, voltage upwards. What does not fit is cut off.
    """
    picture, side = _canvas(image_size)
    pen, half, last = ImageDraw.Draw(picture), (side - 1) / 2, side - 1
    height = 0.5 + GAIN * difference / unit if unit > 0 else np.full(len(difference), 0.5)
    y = (1 - np.clip(height, 0, 1)) * half
    outline = np.stack([np.linspace(0, last, len(y)), y], axis=1).ravel().tolist()
    pen.polygon([0, half / 2, *outline, last, half / 2], fill=255)
    width = last / len(intervals)
    for number, interval in enumerate(intervals):
        bar = min(max(interval - floor, 0.0), 1.0)
        pen.rectangle([number * width, last - bar * half, (number + 1) * width, last], fill=255)
    return picture.reduce(OVERSAMPLING)


def _canvas(image_size: int) -> tuple[Image.Image, int]:
    side = image_size * OVERSAMPLING
    return Image.new("L", (side, side)), side
