"""Handlers that do the same work with boto3 and requests alone: what a first answer must cost.

Each makes the calls to AWS and to the vendor that ours makes for the same event, signs its requests
to the vendor, and does nothing else: it checks no signature, guards nothing, and logs nothing.
"""
