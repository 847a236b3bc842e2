"""The API answers as its OpenAPI document says; `just fuzz` sends thousands of requests."""

from chassis.testing.contract import test_every_answer_is_documented

__all__ = ["test_every_answer_is_documented"]
