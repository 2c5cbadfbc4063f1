"""Deploys the packaged template with the AWS CDK, and uses what it creates.

    cdk deploy --context template=packaged.yaml

The template stays as it is: only values of its parameters are chosen here.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import App, Stack
from aws_cdk.cloudformation_include import CfnInclude

PARAMETERS: Mapping[str, str] = {
    "SourceBucketName": "documents-to-seal",
    "DestinationBucketName": "sealed-documents",
    "AlarmEmail": "on-call@example.com",
}


def add_template(stack: Stack, template: str, parameters: Mapping[str, str]) -> CfnInclude:
    """Include the packaged template, and give its parameters values.

    Args:
        stack: the stack that it becomes; its name is the installation id on every key.
        template: the path of what `aws cloudformation package` wrote.
        parameters: values for parameters, by name; the others keep their defaults.
    """
    included = CfnInclude(stack, "Template", template_file=template)
    for parameter, value in parameters.items():
        included.get_parameter(parameter).default = value
    return included


app = App()
rotation = add_template(
    Stack(app, "trusted-signatures"),
    app.node.try_get_context("template") or "packaged.yaml",
    PARAMETERS,
)
# For other stacks of this app: what applications invoke, and what they read the key from.
sealing_function_arn = rotation.get_output("SealingFunctionArn").value
secret_arn = rotation.get_output("SecretArn").value
app.synth()
