"""A sample: one measurement of one resource, and where it goes from there."""

from pydantic import Field

from tasks.base.words import Frozen


class Sample(Frozen):
    """How much of a resource is used now.

    A unit that ends in `_total` is a counter: it only grows until it begins at zero again (a restart), and how fast
    it grows is what counts.
    """

    kind: str = Field(description="What is measured, e.g. database, table, filesystem, pod")
    resource: str = Field(description="Its name, unique within the kind, e.g. shop, shop.public.orders, /var")
    unit: str = Field(description="bytes, count, percent, seconds …; with _total: a counter")
    used: float = Field(allow_inf_nan=False)
    capacity: float | None = Field(default=None, allow_inf_nan=False, description="None when there is no limit")
