#!/usr/bin/env python3
"""A ProxyCommand that makes a link slow to answer: delay.py MS HOST PORT delivers everything MS milliseconds late, each way."""
import os
import queue
import socket
import sys
import threading
import time


def relay(delay, receive, deliver, finish):
    """Delivers what is received, that much later and in order; an empty piece is the end."""
    pieces = queue.SimpleQueue()

    def later():
        while True:
            due, piece = pieces.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if piece:
                    deliver(piece)
                    continue
                finish()
            except OSError:
                pass
            return

    writer = threading.Thread(target=later, daemon=True)
    writer.start()
    piece = True
    while piece:
        try:
            piece = receive()
        except OSError:
            piece = b""
        pieces.put((time.monotonic() + delay, piece))
    writer.join()


def write_all(piece):
    while piece:
        piece = piece[os.write(1, piece):]


link = socket.create_connection((sys.argv[2], int(sys.argv[3])))
link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
wait = float(sys.argv[1]) / 1000
there = (wait, lambda: os.read(0, 1 << 18), link.sendall, lambda: link.shutdown(socket.SHUT_WR))
threading.Thread(target=relay, args=there, daemon=True).start()
relay(wait, lambda: link.recv(1 << 18), write_all, lambda: os.close(1))
