import time

import redis

from streams import bell
from streams.connection import aclient, client
from streams.tests.conftest import Server


def listen(server: Server) -> redis.client.PubSub:
    subscription = redis.Redis.from_url(server.url).pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(bell.CHANNEL)
    subscription.get_message(timeout=1)
    return subscription


def heard(subscription: redis.client.PubSub) -> list[tuple[str, int]]:
    found = []
    while message := subscription.get_message(timeout=0.2):
        topic, _, number = message["data"].decode().partition(" ")
        found.append((topic, int(number)))
    subscription.close()
    return found


def test_a_ring_is_heard_once_a_topic_with_a_growing_number(own_redis):
    subscription = listen(own_redis)
    bell.ring("containers", "container:1", "containers")
    bell.ring("containers")
    rung = heard(subscription)
    assert [t for t, _ in rung] == ["containers", "container:1", "containers"]
    assert rung[2][1] > rung[0][1]
    assert int(client().get(bell.bell_key("containers"))) == rung[2][1]


def test_numbers_grow_over_an_emptied_redis(own_redis):
    bell.ring(*["images"] * 5)
    before = int(client().get(bell.bell_key("images")))
    time.sleep(0.005)
    own_redis.restart()
    bell.ring("images")
    assert int(client().get(bell.bell_key("images"))) > before


def test_a_ring_without_redis_returns_at_once_and_is_made_up_for(own_redis):
    own_redis.stop()
    began = time.monotonic()
    bell.ring("volumes")
    assert time.monotonic() - began < 0.2
    own_redis.start()
    subscription = listen(own_redis)
    bell.ring("networks")
    assert {t for t, _ in heard(subscription)} == {"volumes", "networks"}


def test_too_many_missed_rings_become_one_for_everything(own_redis):
    own_redis.stop()
    for n in range(300):
        bell.ring(f"container:{n}")
    own_redis.start()
    subscription = listen(own_redis)
    bell.ring("networks")
    rung = [t for t, _ in heard(subscription)]
    assert "*" in rung
    assert len(rung) < 210


async def test_the_gateway_rings_too(own_redis):
    subscription = listen(own_redis)
    connection = aclient()
    await bell.aring(["containers"], connection)
    await connection.aclose()
    assert [t for t, _ in heard(subscription)] == ["containers"]
