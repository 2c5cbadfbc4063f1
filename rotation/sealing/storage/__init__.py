"""Where documents are: S3 and folders of this machine."""
