# Deploys the packaged template with Terraform.
#
#   terraform apply -var artifacts_bucket=BUCKET -var alarm_email=on-call@example.com
#
# The template stays as it is: only values of its parameters are chosen here.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "artifacts_bucket" {
  description = "The bucket that the template was packaged into."
  type        = string
}

variable "packaged_template" {
  description = "What `aws cloudformation package` wrote."
  type        = string
  default     = "packaged.yaml"
}

variable "alarm_email" {
  description = "An address that hears every alarm; its owner must confirm the subscription."
  type        = string
}

data "aws_s3_bucket" "artifacts" {
  bucket = var.artifacts_bucket
}

# A template of more than 51,200 bytes is read from S3 (CloudFormation quotas).
resource "aws_s3_object" "template" {
  bucket = var.artifacts_bucket
  key    = "trusted-signatures/${filemd5(var.packaged_template)}.yaml"
  source = var.packaged_template
}

resource "aws_cloudformation_stack" "trusted_signatures" {
  # The installation id on every key.
  name         = "trusted-signatures"
  template_url = "https://${data.aws_s3_bucket.artifacts.bucket_regional_domain_name}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]

  parameters = {
    SourceBucketName      = "documents-to-seal"
    DestinationBucketName = "sealed-documents"
    AlarmEmail            = var.alarm_email
  }
}

output "sealing_function_arn" {
  value = aws_cloudformation_stack.trusted_signatures.outputs["SealingFunctionArn"]
}

output "secret_arn" {
  value = aws_cloudformation_stack.trusted_signatures.outputs["SecretArn"]
}
