# SPDX-License-Identifier: GPL-2.0
"""Medians of paired ratios, their intervals, and what they say about a gate."""

import math

CONFIDENCE = 0.90


def median(values):
    """The middle value, or the mean of the middle two."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def rank(count, confidence=CONFIDENCE):
    """Rank k so that the kth smallest to the kth largest value hold the median.

    Nothing is assumed about the distribution: each value lies below the true
    median with probability 1/2, so the number of those that do is binomial.
    Returns (k, coverage) with the largest k whose coverage is at least
    `confidence`, or (0, 0.0) where even the extremes do not reach it.
    """
    best = (0, 0.0)
    tail = 0.0
    for k in range(1, count // 2 + 1):
        tail += math.comb(count, k - 1) / 2 ** count
        coverage = 1 - 2 * tail
        if coverage < confidence:
            break
        best = (k, coverage)
    return best


def interval(values, confidence=CONFIDENCE):
    """(low, high, coverage) of the median; None from too few values."""
    k, coverage = rank(len(values), confidence)
    if not k:
        return None
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k], coverage


def reaches(value, bound, sense):
    """Is this value on the good side of a bound (">=" or "<=")?"""
    return value >= bound if sense == ">=" else value <= bound


def verdict(values, bound, sense=">="):
    """held, missed or undecided."""
    if reaches(median(values), bound, sense):
        return "held"
    span = interval(values)
    if span and not any(reaches(end, bound, sense) for end in span[:2]):
        return "missed"
    return "undecided"


def passes_half(values, bound, sense=">="):
    """A short run proves nothing but a collapse: half of the gate is enough."""
    return reaches(median(values), bound / 2 if sense == ">=" else bound * 2, sense)


def summary(values):
    """Median, interval and coverage as they stand in the JSON file."""
    span = interval(values)
    low, high, coverage = span or (None, None, None)
    return {"n": len(values), "median": median(values), "low": low, "high": high,
            "coverage": coverage}
