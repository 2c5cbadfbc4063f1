"""What holds for all AWS services (errors, client settings), and the adapters to SNS and S3."""
