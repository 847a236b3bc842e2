"""The processes of the sample service: `python -m tests.sample api`."""

from tests.sample.service import service

service.main()
