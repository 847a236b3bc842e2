"""The sample service answers as its OpenAPI document says."""

from chassis.testing.contract import test_every_answer_is_documented

__all__ = ["test_every_answer_is_documented"]
