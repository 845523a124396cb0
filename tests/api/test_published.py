"""`/openapi.json` and `/docs`: there for everybody, and not sent twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from dsock.api.openapi import document
from tests.support.cluster import Cluster, memory_cluster, redis_cluster
from tests.support.redis_server import RedisServer

PUBLISHED = ["/openapi.json", "/docs"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node() -> AsyncIterator[Cluster]:
    async with memory_cluster() as cluster:
        yield cluster


async def ask(node: Cluster, method: str, path: str, **headers: str) -> httpx.Response:
    """What anyone is answered, without a token."""
    async with httpx.AsyncClient(base_url=node.api.url) as anyone:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await anyone.request(method, path, headers=given)


async def test_the_document_is_served_as_it_is_made(node: Cluster) -> None:
    response = await ask(node, "GET", "/openapi.json")
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.content) == document()


@pytest.mark.parametrize("path", PUBLISHED)
async def test_anyone_may_read_it_and_look_at_its_head(node: Cluster, path: str) -> None:
    whole, head = await ask(node, "GET", path), await ask(node, "HEAD", path)
    assert (whole.status_code, head.status_code, head.content) == (200, 200, b"")
    assert len(whole.content) == int(head.headers["content-length"])
    assert whole.headers["etag"] == head.headers["etag"]


@pytest.mark.parametrize("path", PUBLISHED)
async def test_an_api_alone_serves_it_and_a_worker_alone_does_not(
    redis: RedisServer, path: str
) -> None:
    async with redis_cluster(redis) as cluster, httpx.AsyncClient() as anyone:
        assert (await anyone.get(f"{cluster.api.url}{path}")).status_code == 200
        assert (await anyone.get(f"http://{cluster.workers[0]}{path}")).status_code == 404


@pytest.mark.parametrize("path", PUBLISHED)
async def test_who_has_it_is_not_sent_it_again(node: Cluster, path: str) -> None:
    tag = (await ask(node, "GET", path)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await ask(node, "GET", path, if_none_match=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["x-request-id"]
    for other in ('"other"', tag[:-2] + '"', ""):
        assert (await ask(node, "GET", path, if_none_match=other)).status_code == 200


@pytest.mark.parametrize("path", PUBLISHED)
async def test_a_copy_is_asked_about_before_it_is_shown(node: Cluster, path: str) -> None:
    assert (await ask(node, "GET", path)).headers["cache-control"] == "no-cache"
