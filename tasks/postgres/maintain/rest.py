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
        if self.left_seconds() > 0:
            return ""
        return f"the window closed at {iso(self._opening.end)}"

    def left_seconds(self) -> float:
        """Seconds until the window closes; negative when it has."""
        return self._opening.rest_seconds(utc_now())

    def refuses(self, *steps: Step) -> str:
        """Why steps must not begin, one after the other; empty when they will fit."""
        left = self.left_seconds()
        expected = [self._rates.expect(step) for step in steps]
        seconds = sum(one.seconds for one in expected)
        if left <= 0 or seconds <= left:
            return self.over()
        return f"needs about {seconds:.0f} s ({expected[0].source}), the window closes in {left:.0f} s"
