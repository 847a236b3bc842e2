"""The processes of the leaky service: `python -m tests.e2e.leaky api`."""

from tests.e2e.leaky.service import service

service.main()
