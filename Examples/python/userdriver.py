#!/usr/bin/env python3
"""Talks to userdriverd with nothing but Python's standard library: Docs/Drivers.md (services), Docs/Rings.md, Docs/Objects.md.

    userdriver.py list
    userdriver.py call DEVICE INTERFACE.METHOD [JSON]
    userdriver.py frame DEVICE FILE       the next frame of a stream, as the device sent it
    userdriver.py object ID FILE          an object that a driver has committed
"""
import hashlib, json, mmap, os, socket, struct, sys, time


def messages(method, parameters, more=False):
    """Yields replies with their descriptors. JSON goes both ways, each message followed by a zero byte."""
    folders = [os.environ.get("USERDRIVER_RUNTIME_DIR"), os.environ.get("XDG_RUNTIME_DIR", "/nowhere") + "/userdriver", "/run/userdriver"]
    path = next((f + "/io.userdriver" for f in folders if f and os.path.exists(f + "/io.userdriver")), None)
    if not path:
        sys.exit("userdriverd is not running")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(json.dumps({"method": method, "parameters": parameters, "more": more}).encode() + b"\0")
        text, descriptors = b"", []
        while True:
            part, received, _, _ = socket.recv_fds(connection, 65536, 16)
            if not part:
                sys.exit("the daemon closed the connection")
            text, descriptors = text + part, descriptors + list(received)
            while b"\0" in text:
                message, text = text.split(b"\0", 1)
                reply = json.loads(message)
                if "error" in reply:
                    sys.exit(f"{reply['error']}: {reply['parameters'].get('message', '')}")
                yield reply["parameters"], descriptors
                descriptors = []
                if not reply.get("continues"):
                    return


def frame(device):
    """A watcher maps the stream's ring: memory that the driver writes frames into, read-only here."""
    watch = messages("io.userdriver.Watch", {"device": device}, more=True)  # the stream ends when this is released
    opened, descriptors = next(watch)
    capacity, slots = opened["ring"]["capacity"], opened["ring"]["slotCount"]
    ring = mmap.mmap(descriptors[0], 0, prot=mmap.PROT_READ)
    pages = lambda count: (count + 4095) // 4096 * 4096
    state = lambda slot: struct.unpack_from("=Q", ring, 4096 + slot * 128)[0]
    while True:
        newest = max(range(slots), key=lambda slot: state(slot) if state(slot) % 2 == 0 else 0)
        before = state(newest)
        if before and before % 2 == 0:
            length = min(struct.unpack_from("=Q", ring, 4096 + newest * 128 + 8)[0], capacity)
            start = pages(4096 + slots * 128) + newest * pages(capacity)
            data = ring[start:start + length]
            if state(newest) == before:  # the driver has not reused this slot in the meantime: the frame is whole
                return data
        time.sleep(0.005)


def stored(number):
    """An object is stored in pieces in a few memfds; its SHA-256 shows whether it is what the driver committed."""
    reply, descriptors = next(messages("io.userdriver.OpenObject", {"id": number}))
    arenas = [mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) for descriptor in descriptors]
    data = b"".join(arenas[e["descriptor"]][e["offset"]:e["offset"] + e["length"]] for e in reply["extents"])
    return data if hashlib.sha256(data).hexdigest() == reply["object"]["sha256"] else sys.exit("the object is not what was committed")


verb, words = (sys.argv[1:2] or [""])[0], sys.argv[2:]
if verb == "list" and not words:
    for one in next(messages("io.userdriver.Status", {}))[0]["devices"]:
        print(f"{one['id']}  {one['state']}  {one['name']}")
elif verb == "call" and len(words) in (2, 3):
    print(json.dumps(next(messages(words[1], {"device": words[0], **json.loads((words + ["{}"])[2])}))[0]))
elif verb in ("frame", "object") and len(words) == 2:
    with open(words[1], "wb") as file:
        file.write(frame(words[0]) if verb == "frame" else stored(int(words[0])))
else:
    sys.exit(__doc__)
