"""AWS on one machine, made faithful where moto is not.

`cloud.Cloud` is the way in: Secrets Manager, Lambda, S3, IAM and CloudTrail behind one loopback
address, for boto3 and for the stock ``aws`` command line. Rotation functions run in processes of
their own (`processes`, `runtime`), through the invoke interface of AWS's runtime interface
emulator.

Does NOT start rotations on their schedule: it checks the schedule and computes NextRotationDate,
but only RotateSecret starts a rotation here.
"""

from typing import Final

# What AWS's runtime interface emulator reports in a function's ARN: with the same values here, a
# function cannot tell by its ARN which of the two runs it.
ACCOUNT: Final = "012345678912"
REGION: Final = "us-east-1"
