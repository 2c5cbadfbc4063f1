"""Adapters to AWS services other than Secrets Manager: messages over SNS, evidence in S3."""
