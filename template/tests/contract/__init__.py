"""What the OpenAPI document says is what the API does."""
