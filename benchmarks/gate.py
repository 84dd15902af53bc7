"""When a quick run fails: arms that disagree, and ratios below half of their target in each of three measurements.

Other programs on a machine can spoil one measurement. A ratio that is far off is therefore measured again, twice at
most, each time with more repetitions; only what is far off every time fails. Wrong pixels fail at once.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.harness import Measured, effort

ROUNDS = 3


def judged(run: Callable[[], list[Measured]], rounds: int = ROUNDS) -> tuple[list[Measured], list[str]]:
    """Measure a theme, and again while something is far off.

    Args:
        run: measures the theme.
        rounds: how often at most; round n makes n times the repetitions.

    Returns:
        What the last round measured, and a sentence about each ratio that was far off in every round.

    Raises:
        WrongPixels: arms disagree.
    """
    results, far_off = _measured(run, 1)
    for number in range(2, rounds + 1):
        if not far_off:
            break
        results, again = _measured(run, number)
        far_off = {name: again[name] for name in far_off if name in again}
    return results, list(far_off.values())


def _measured(run: Callable[[], list[Measured]], times: int) -> tuple[list[Measured], dict[str, str]]:
    with effort(times):
        results = run()
    found: dict[str, str] = {}
    for result in results:
        found |= result.far_off()
    return results, found
