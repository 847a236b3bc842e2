"""The OpenAPI document, held to what real processes answer."""
