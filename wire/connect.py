"""The Temporal client, and what a namespace needs before the first lead."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode, TLSConfig
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from wire.codec import data_converter
from wire.keyring import KeyRing

RPC_TIMEOUT = timedelta(seconds=10)  # real


class WrongSearchAttribute(Exception):
    """The namespace knows a search attribute by this name with another type, which cannot be changed."""


async def connect(
    address: str,
    namespace: str,
    keyring: KeyRing,
    *,
    api_key: str | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    lazy: bool = False,
) -> Client:
    """A client that seals what it sends. `address` is host:port; TLS with an API key or a client certificate.

    With `lazy` it connects at the first call. Raises ValueError (half a certificate, an unreadable file), RuntimeError
    (nobody answers there).
    """
    return await Client.connect(
        address,
        namespace=namespace,
        data_converter=data_converter(keyring),
        api_key=api_key,
        tls=_tls(tls_cert, tls_key),
        lazy=lazy,
    )


def _tls(cert: Path | None, key: Path | None) -> TLSConfig | None:
    """None leaves the choice to the client, which uses TLS with an API key and none without."""
    if not cert and not key:
        return None
    if not cert or not key:
        raise ValueError("Temporal's client certificate needs both its file and the file of its key")
    try:
        return TLSConfig(client_cert=cert.read_bytes(), client_private_key=key.read_bytes())
    except OSError as error:
        raise ValueError(f"Temporal's client certificate cannot be read: {error.filename}") from None


async def prepare_namespace(client: Client, namespace: str, retention_days: int = 90) -> None:
    """Finished workflows are kept for at least so long; a longer time set by somebody else is left. Raises RPCError."""
    wanted = timedelta(days=retention_days)
    service = client.workflow_service
    found = await service.describe_namespace(DescribeNamespaceRequest(namespace=namespace), timeout=RPC_TIMEOUT)
    if found.config.workflow_execution_retention_ttl.ToTimedelta() >= wanted:
        return
    duration = Duration()
    duration.FromTimedelta(wanted)
    await service.update_namespace(
        UpdateNamespaceRequest(namespace=namespace, config=NamespaceConfig(workflow_execution_retention_ttl=duration)),
        timeout=RPC_TIMEOUT,
    )


async def register_search_attributes(client: Client, namespace: str, attributes: Mapping[str, int]) -> None:
    """Registers those that are missing: name -> IndexedValueType (or SearchAttributeIndexedValueType).

    Returns when the namespace lists them all. Raises WrongSearchAttribute, RPCError, TimeoutError.
    """
    missing = _missing(await _listed(client, namespace), attributes)
    if not missing:
        return
    types = {name: IndexedValueType.ValueType(kind) for name, kind in missing.items()}
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=namespace, search_attributes=types), timeout=RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:  # another process was quicker
            raise
    # The list lags behind: a start that uses an attribute not yet listed would be refused.
    patience = AsyncRetrying(
        retry=retry_if_exception_type(TimeoutError),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(RPC_TIMEOUT),
        reraise=True,
    )
    async for attempt in patience:
        with attempt:
            if absent := _missing(await _listed(client, namespace), attributes):
                raise TimeoutError(f"search attributes {', '.join(sorted(absent))} were registered but are not listed")


async def _listed(client: Client, namespace: str) -> dict[str, int]:
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=namespace), timeout=RPC_TIMEOUT
    )
    return dict(answer.custom_attributes)


def _missing(listed: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
    for name, kind in wanted.items():
        if name in listed and listed[name] != kind:
            raise WrongSearchAttribute(
                f"search attribute {name} is {_word(listed[name])} here instead of {_word(kind)}: use another namespace"
            )
    return {name: int(kind) for name, kind in wanted.items() if name not in listed}


def _word(kind: int) -> str:
    return IndexedValueType.Name(IndexedValueType.ValueType(kind)).removeprefix("INDEXED_VALUE_TYPE_").lower()
