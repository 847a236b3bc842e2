"""The types of fixtures that are functions."""

from collections.abc import Awaitable, Callable
from typing import Any

type PlanOf = Callable[..., Awaitable[str]]
type Announced = Callable[[], Awaitable[list[tuple[str, dict[str, Any]]]]]
type Receive = Callable[..., Awaitable[None]]
type Drain = Callable[[], Awaitable[None]]
