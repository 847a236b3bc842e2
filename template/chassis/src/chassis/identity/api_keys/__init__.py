"""Authentication by API keys that this service issues itself."""

from chassis.identity.api_keys._provider import api_keys

__all__ = ["api_keys"]
