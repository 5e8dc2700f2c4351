"""Open clients of AWS services and translate their errors, for every seam that talks to AWS.

Endpoint, region, profile and credentials are left to botocore, so the AWS variables mean here what they mean in every
other tool.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3.session
import botocore.session
from botocore import exceptions
from botocore.config import Config

from tidemark.errors import ConfigError, TransientError

# In its standard mode botocore waits at most min(2**n, 20) seconds before try n + 2 (ExponentialBackoff; newer versions
# begin at 0.05), so 11 tries last a minute or two. Its legacy mode, the default of older versions, has no cap.
_ATTEMPTS = 11
_CONNECT_TIMEOUT_SECONDS = 10
_READ_TIMEOUT_SECONDS = 60
# As many as the threads that read manifests at once, in compact and verify.
_CONNECTIONS = 16

_TRANSIENT_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "ConditionalRequestConflict",
        "OperationAborted",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    }
)
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def open_session() -> boto3.session.Session:
    """Return a session of its own: the default one is shared and not safe for threads."""
    variables = {
        # boto3 alone among the SDKs does not read AWS_REGION.
        "region": ("region", ["AWS_REGION", "AWS_DEFAULT_REGION"], None, None),
        "retry_mode": ("retry_mode", "AWS_RETRY_MODE", "standard", None),
        # This is a default here, because in the client's Config it would win over the variable and the profile.
        "max_attempts": ("max_attempts", "AWS_MAX_ATTEMPTS", _ATTEMPTS, int),
    }
    with aws_errors("the AWS settings"):
        return boto3.session.Session(botocore_session=botocore.session.Session(session_vars=variables))


def open_client(session: Any, service: str) -> Any:  # noqa: ANN401 -- boto3 makes its clients at run time
    """Return a client of one service, which retries a request that fails for about a minute."""
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        read_timeout=_READ_TIMEOUT_SECONDS,
        max_pool_connections=_CONNECTIONS,
    )
    with aws_errors(f"the AWS settings for {service}"):
        return session.client(service, config=config)


def frozen_credentials(session: boto3.session.Session) -> Any:  # noqa: ANN401 -- a botocore class, not typed
    """Return access_key, secret_key and token (or None) as of now; botocore renews those that expire."""
    with aws_errors("AWS credentials"):
        credentials = session.get_credentials()
        if credentials is None:
            raise exceptions.NoCredentialsError
        return credentials.get_frozen_credentials()


def error_code(exc: Exception) -> str:
    """Return the code of an AWS answer, such as `NoSuchKey`."""
    response: dict[str, dict[str, str]] = getattr(exc, "response", {})
    return response.get("Error", {}).get("Code", "")


@contextmanager
def aws_errors(place: str) -> Iterator[None]:
    """Translate the errors that AWS answers with, and those that keep it from answering; messages name `place`."""
    try:
        yield
    except exceptions.ClientError as exc:
        raise _translated(place, error_code(exc), exc) from exc
    except (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        exceptions.IncompleteReadError,
        exceptions.ChecksumError,
        exceptions.FlexibleChecksumError,
        exceptions.MetadataRetrievalError,
    ) as exc:
        message = f"{place} could not be reached: {exc}"
        raise TransientError(message, advice="run it again; check network and endpoint if it stays") from exc
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as exc:
        message = f"no AWS credentials for {place}: {exc}"
        raise ConfigError(message, advice="set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from exc
    except exceptions.NoRegionError as exc:
        message = f"no AWS region for {place}"
        raise ConfigError(message, advice="set AWS_REGION") from exc
    except (exceptions.BotoCoreError, ValueError) as exc:
        # botocore raises a bare ValueError for an endpoint that is no URL.
        message = f"{place} cannot be used: {exc}"
        raise ConfigError(message, advice="check the AWS settings") from exc


def _translated(place: str, code: str, exc: Any) -> ConfigError | TransientError:  # noqa: ANN401 -- not typed
    status: int = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    facts = {"code": code, "status": status, "operation": exc.operation_name}
    if code in _TRANSIENT_CODES or status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        return TransientError(f"{place} did not answer as it should: {exc}", advice="run it again", **facts)
    if code in {"NoSuchBucket", "InvalidBucketName"}:
        return ConfigError(f"{place} names a bucket that does not exist", advice="create it or name another", **facts)
    if code in {"PermanentRedirect", "IllegalLocationConstraintException", "AuthorizationHeaderMalformed"}:
        return ConfigError(f"{place} lies in another region", advice="set AWS_REGION to the bucket's region", **facts)
    advice = f"check credentials and rights ({code})"
    return ConfigError(f"{place} refuses {exc.operation_name}: {exc}", advice=advice, **facts)
