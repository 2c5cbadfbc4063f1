"""Tests of what is deployed: the built artifacts and the template."""
