"""Spikes and steps: where a series jumps, so that a slope is never fitted across a jump."""

from dataclasses import dataclass

import numpy as np

from tasks.capacity.histories import Floats, Integers, Mask, before

# 1.4826 makes the median absolute deviation of normal noise its standard deviation; six of those are no noise.
MAD_TO_SIGMA = 1.4826
_SIGMAS = 6.0
# So many steps within the window are how the series lives (a log that is rotated, a monthly import): it is not cut.
RECURRING = 3


@dataclass(frozen=True)
class Segments:
    """Windows (rows, days) without their spikes, cut at their steps.

    `segment` numbers the segments of each row from 0; `sigma` is the noise of one day's difference.
    """

    values: Floats
    segment: Integers
    steps: Mask
    recurring: Mask
    sigma: Floats

    def of(self, rows: Mask) -> "Segments":
        """Those rows alone."""
        return Segments(self.values[rows], self.segment[rows], self.steps[rows], self.recurring[rows], self.sigma[rows])


def median(values: Floats, valid: Mask) -> Floats:
    """The median of the valid values of each row, NaN without one. Much faster than numpy's nanmedian for many rows."""
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered = np.sort(np.where(valid, values, np.inf), axis=1)
    count = valid.sum(axis=1)
    low, high = np.maximum(0, (count - 1) // 2), np.minimum(count // 2, values.shape[1] - 1)
    rows = np.arange(len(values))
    with np.errstate(invalid="ignore"):
        middle: Floats = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(count > 0, middle, np.nan)


def jumps(values: Floats) -> tuple[Floats, Mask, Floats]:
    """By how much each day left its usual course, whether that is a jump, and the noise of one day's difference.

    A jump is a difference further from the median difference than six times 1.4826 times their median absolute
    deviation. Over a gap both grow: the usual difference with its days, the noise with their square root.
    """
    former, ago = before(values)
    with np.errstate(invalid="ignore"):
        difference = values - former
        daily = difference / ago
        known = np.isfinite(difference)
        usual = median(daily, known)
        spread = MAD_TO_SIGMA * median(np.abs(daily - usual[:, None]) * np.sqrt(ago), known)
        excess = difference - usual[:, None] * ago
        # What is lost in the last digits of a number is no jump.
        least = 1e-9 * np.abs(values)
        jumped = known & (np.abs(excess) > np.maximum(_SIGMAS * spread[:, None] * np.sqrt(ago), least))
    return excess, jumped, spread


def without_spikes(values: Floats) -> Floats:
    """The same without single days that jump away and come back: measured while something else was going on."""
    excess, jumped, _ = jumps(values)
    after = np.zeros_like(jumped)
    after[:, :-1] = jumped[:, 1:]
    back = np.zeros_like(excess)
    back[:, :-1] = excess[:, 1:]
    with np.errstate(invalid="ignore"):
        returned = jumped & after & (np.abs(excess + back) < np.minimum(np.abs(excess), np.abs(back)) / 2)
        returned &= np.sign(excess) != np.sign(back)
    return np.where(returned, np.nan, values)


def segments(values: Floats) -> Segments:
    """Cut windows at their steps; a window with many of them is taken as it is."""
    cleaned = without_spikes(values)
    _, jumped, spread = jumps(cleaned)
    recurring = jumped.sum(axis=1) >= RECURRING
    steps = jumped & ~recurring[:, None]
    return Segments(cleaned, np.cumsum(steps, axis=1), steps, recurring, spread)
