"""A sample: one measurement of one resource, and where it goes from there."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import Field

from tasks.base.words import CheckResult, FlowResult, Frozen, Verdict

# A kind that ends so is a counter: it only grows until it begins anew (a restart), and its rate is what is of use.
COUNTER = " total"
_DAY = timedelta(days=1)


class Sample(Frozen):
    """How much of a resource is used now."""

    kind: str = Field(
        description="What is measured, e.g. database, table, filesystem; a counter's kind ends in ' total'"
    )
    resource: str = Field(description="Its name, unique within the kind, e.g. shop, shop.public.orders, db1:/var")
    unit: str = Field(description="bytes, count, percent, seconds …")
    used: float = Field(allow_inf_nan=False)
    capacity: float | None = Field(
        default=None, allow_inf_nan=False, description="None when there is no limit; of a counter: per day"
    )


class Sampled(Frozen):
    """What one part of the platform gave: its samples, and what is to be said about it."""

    samples: tuple[Sample, ...] = ()
    checks: tuple[CheckResult, ...] = ()


class Dated(Frozen):
    """A sample of some moment, as history from elsewhere gives it."""

    at: datetime
    sample: Sample


class Former(Frozen):
    """What a counter stood at before."""

    at: datetime
    used: float


def sampled(target: str, samples: Sequence[Sample], checks: Sequence[CheckResult] = ()) -> Sampled:
    """The samples of a part; it is OK when nothing else is to be said."""
    said = CheckResult(name="sample", target=target, verdict=Verdict.OK, message=f"{len(samples)} resources sampled")
    return Sampled(samples=tuple(samples), checks=tuple(checks) or (said,))


def rates(samples: Sequence[Sample], at: datetime, former: Mapping[tuple[str, str], Former]) -> list[Sample]:
    """What the counters among the samples moved by per day since then, as samples of the kind without ' total'.

    None of a counter that is new, that began anew since then, or that a clock which went back has no time for.
    """
    found = []
    for one in samples:
        before = former.get((one.kind, one.resource))
        if before is None or at <= before.at or one.used < before.used:
            continue
        rate = {
            "kind": one.kind.removesuffix(COUNTER),
            "unit": f"{one.unit} per day",
            "used": (one.used - before.used) / ((at - before.at) / _DAY),
        }
        found.append(one.model_copy(update=rate))
    return found


class SampleResult(FlowResult):
    """What one run sampled."""

    samples: tuple[Sample, ...]
    csv_header: ClassVar[tuple[str, ...]] = tuple(Sample.model_fields)

    def csv_rows(self) -> list[dict[str, object]]:
        """One row for each resource."""
        return [one.model_dump() for one in self.samples]
