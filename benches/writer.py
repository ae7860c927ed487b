#!/usr/bin/env python3
"""Writes a key every 5 ms until told to end (SIGTERM), to another member when one fails: writer.py URL...

Prints how many writes were acknowledged and the longest time, in milliseconds, from one acknowledgement to the next.
"""
import base64
import http.client
import itertools
import json
import signal
import sys
import time
from urllib.parse import urlsplit

PERIOD = 0.005
PATIENCE = 1.0


def put(connection, number):
    word = base64.b64encode(str(number).encode()).decode()
    body = json.dumps({"key": base64.b64encode(b"bench").decode(), "value": word})
    connection.request("POST", "/v3/kv/put", body)
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200


def main():
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    members = itertools.cycle(http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE) for url in sys.argv[1:])
    member, written, longest = next(members), 0, 0.0
    last = time.monotonic()
    while not ended:
        began = time.monotonic()
        try:
            well = put(member, written)
        except (OSError, http.client.HTTPException):
            well = False
        if well:
            written, longest, last = written + 1, max(longest, time.monotonic() - last), time.monotonic()
        else:
            member.close()
            member = next(members)
        time.sleep(max(0, began + PERIOD - time.monotonic()))
    print(written, round(max(longest, time.monotonic() - last) * 1000))


main()
