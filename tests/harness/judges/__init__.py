"""Judges of the template that nobody here wrote: cfn-lint, checkov, cfn-guard and others."""
