"""What an order is and what may happen to it."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from chassis.errors import Conflict, NotFound

# ISO 4217, the currencies in use.
CURRENCIES = frozenset(
    """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP
    CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
    MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG
    SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV
    WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    """.split()  # noqa: SIM905  # a list would be harder to read
)


class OrderNotFound(NotFound):
    title = "Order not found"


class ExportNotFound(NotFound):
    title = "Export not found"


class OrderNotCancellable(Conflict):
    title = "Order not cancellable"


class Status(StrEnum):
    PLACED = "placed"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Line:
    """One article of an order; `unit_price` is in the minor unit of the order's currency."""

    sku: str
    quantity: int
    unit_price: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A status that an order reached, and which principal (empty for a job) and request caused it."""

    status: Status
    version: int
    principal: str
    request_id: str
    happened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order with its lines; each change returns a new one with the next version. `owner` placed it."""

    id: UUID
    owner: str
    reference: str
    currency: str
    lines: tuple[Line, ...]
    total: int
    status: Status
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def place(cls, order_id: UUID, owner: str, reference: str, currency: str, lines: Sequence[Line]) -> Self:
        """Make a new order, placed now."""
        now = datetime.now(UTC)
        return cls(
            id=order_id,
            owner=owner,
            reference=reference,
            currency=currency,
            lines=tuple(lines),
            total=sum(line.quantity * line.unit_price for line in lines),
            status=Status.PLACED,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def change_reference(self, reference: str) -> Self:
        return self._next(reference=reference)

    def confirm(self) -> Self:
        """Confirm a placed order; a cancelled one stays as it is."""
        return self._next(status=Status.CONFIRMED) if self.status is Status.PLACED else self

    def cancel(self) -> Self:
        """Cancel a placed order, once. Raises OrderNotCancellable when it is confirmed."""
        if self.status is Status.CONFIRMED:
            raise OrderNotCancellable
        return self._next(status=Status.CANCELLED) if self.status is Status.PLACED else self

    def _next(self, *, reference: str | None = None, status: Status | None = None) -> Self:
        return replace(
            self,
            reference=reference or self.reference,
            status=status or self.status,
            version=self.version + 1,
            updated_at=datetime.now(UTC),
        )


CSV_COLUMNS = ("id", "reference", "status", "currency", "total", "created_at")


def csv_of(orders: Iterable[Order], *, with_header: bool) -> str:
    """Write a row for each order (RFC 4180), and the header before the first."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    if with_header:
        rows.writerow(CSV_COLUMNS)
    for order in orders:
        written = order.created_at.isoformat()
        rows.writerow((order.id, order.reference, order.status, order.currency, order.total, written))
    return text.getvalue()
