"""The types of what ``rotation`` loads when it is first used."""

from rotation.client.credential_cache import CachedCredential as CachedCredential
from rotation.client.credential_cache import CredentialCache as CredentialCache
from rotation.client.lambda_invoker import LambdaInvoker as LambdaInvoker
from rotation.client.metrics import CacheMetrics as CacheMetrics
from rotation.client.sealing_client import SealingClient as SealingClient
from rotation.client.secret_source import SecretsManager as SecretsManager
from rotation.credential import ApiKey as ApiKey
from rotation.errors import RotationError as RotationError
from rotation.sealing.request import ObjectLocation as ObjectLocation
from rotation.sealing.request import SealOptions as SealOptions

__version__: str
__all__: list[str]
