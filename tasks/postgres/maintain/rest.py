"""The rest of the window: nothing begins that will not fit into it, and what runs at its end is cancelled."""

from tasks.base.clock import iso, utc_now
from tasks.base.maintenance import Opening
from tasks.postgres.maintain.history import Rates
from tasks.postgres.maintain.plan import Step


class Rest:
    """What is left of one opening, with the expected durations of steps."""

    def __init__(self, opening: Opening, rates: Rates) -> None:
        self._opening, self._rates = opening, rates

    def over(self) -> str:
        """Why nothing may go on; empty while the window is open."""
        if self._opening.rest_seconds(utc_now()) > 0:
            return ""
        return f"the window closed at {iso(self._opening.end)}"

    def refuses(self, step: Step) -> str:
        """Why a step must not begin; empty when it will fit."""
        left = self._opening.rest_seconds(utc_now())
        expected = self._rates.expect(step)
        if left <= 0 or expected.seconds <= left:
            return self.over()
        return f"needs about {expected.seconds:.0f} s ({expected.source}), the window closes in {left:.0f} s"
