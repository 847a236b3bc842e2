"""The processes of the leaky service: `python -m tests.leaky api`."""

from tests.leaky.service import service

service.main()
