"""Tests of tokens of an issuer."""
