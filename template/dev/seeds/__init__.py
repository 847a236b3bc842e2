"""Data for the development database: `async def seed(transaction)` in a file named after its module."""
