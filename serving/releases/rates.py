"""Between which rates the true one lies, by events that were counted: bounds that may be looked at all the time.

    k events of n ──▶ likelihood of all rates, weighted Beta(1/2, 1/2), over that of one ──▶ rates where it is below 1 / alpha

That quotient is a martingale that starts at 1 if the one rate is the true one, so it ever reaches 1 / alpha with probability
alpha at most (Ville's inequality): a confidence sequence, which holds at every time at once.

"""

import math


def highest_rate(events: int, of: int, alpha: float) -> float:
    """The largest rate, 0 to 1, that goes with so many events. The true one is *ever* above it with probability alpha at most.

    Where a rate moves, this is said of its mean, at a time that was chosen beforehand.
    """
    low, high = (events / of if of else 0.0), 1.0
    if events >= of:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_mixture(events, of, middle) < -math.log(alpha) else (low, middle)
    return high


def lowest_rate(events: int, of: int, alpha: float) -> float:
    """The smallest rate that goes with so many events; see `highest_rate`."""
    return 1.0 - highest_rate(of - events, of, alpha)


def _log_mixture(events: int, of: int, rate: float) -> float:
    """Logarithm of the likelihood of rates that are Beta(1/2, 1/2), over that of one rate.

        log of B(k + 1/2, n - k + 1/2) / pi / (rate^k (1 - rate)^(n - k))

    As n KL(k/n, rate) and what is left of it, so that nothing large is subtracted from something large.
    """
    rest = of - events
    if rate >= 1 or rate <= 0:
        return math.inf
    return _deviance(events, of * rate) + _deviance(rest, of * (1 - rate)) + _log_mixture_at_best(events, rest)


def _log_mixture_at_best(events: int, rest: int) -> float:
    """`_log_mixture` at the rate events / (events + rest)."""
    log_choose = 0.0  # logarithm of the chance of exactly so many events at that rate
    if events and rest:
        of = events + rest
        log_choose = _stirling(of) - _stirling(events) - _stirling(rest)
        log_choose += (math.log(of) - math.log(events) - math.log(rest) - math.log(2 * math.pi)) / 2
    return _half(events) + _half(rest) - math.log(math.pi) - log_choose


def _deviance(count: int, expected: float) -> float:
    """count log(count / expected) + expected - count, also where both are large and alike."""
    if count == 0:
        return expected
    x = (count - expected) / expected
    if abs(x) > 0.05:
        return count * math.log(count / expected) + expected - count
    # expected ((1 + x) log(1 + x) - x) as a series: x^2/2 - x^3/6 + x^4/12 - …
    return expected * sum((-x) ** n / (n * (n - 1)) for n in range(2, 16))


def _stirling(n: int) -> float:
    """log n! less Stirling's approximation of it."""
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - math.log(2 * math.pi) / 2
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * n * n)) / (n * n)) / (n * n)) / n


def _half(n: int) -> float:
    """log of Gamma(n + 1/2) / Gamma(n + 1)."""
    if n < 1000:
        return math.lgamma(n + 0.5) - math.lgamma(n + 1)
    return -math.log(n) / 2 - 1 / (8 * n) + 1 / (192 * n**3)
