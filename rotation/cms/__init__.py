"""Signatures in CMS, whoever made them: whether they are genuine and strong; and timestamps.

Knows no PDF, no vendor and no AWS.
"""
