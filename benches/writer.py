#!/usr/bin/env python3
"""Writes a key every 5 ms until told to end (SIGTERM), to another member when one fails: writer.py URL...

Prints how many writes were acknowledged and the longest time, in milliseconds, from one acknowledgement to the next;
then each such time of 100 ms and more: when it began, in milliseconds of the clock, how long it was, and which members failed.
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
    member, written, gaps, failed = next(members), 0, [], []
    last = time.time()
    while not ended:
        began = time.time()
        try:
            well = put(member, written)
        except (OSError, http.client.HTTPException):
            well = False
        if well:
            gaps.append((time.time() - last, last, failed))
            written, last, failed = written + 1, time.time(), []
        else:
            member.close()
            failed = failed + [member.host]
            member = next(members)
        time.sleep(max(0, began + PERIOD - time.time()))
    gaps.append((time.time() - last, last, failed))
    print(written, round(max(gaps)[0] * 1000))
    for gap, when, failed in gaps:
        if gap >= 0.1:
            print(round(when * 1000), round(gap * 1000), *failed)


main()
