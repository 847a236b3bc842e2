"""The types of fixtures that are functions."""

from collections.abc import Awaitable, Callable

type PlanOf = Callable[..., Awaitable[str]]
type Announced = list[tuple[str, object]]
type Drain = Callable[[], Awaitable[None]]
