"""Gives real Cassandra nodes the face of ScyllaDB, for drivers: scylla_face.py FRONT=NODE...
With `tls=CERTIFICATE,KEY` among these words it takes TLS, but on the shard-aware port for others.

Each FRONT listens on the plain port and on the shard-aware ones, and hands everything on to its NODE
(over protocol v3 or v4, uncompressed, as it is here). What it adds is what a driver sees of Scylla:
shards, the LWT mark, tablets, rate limits, ids of result metadata. [scylladb docs/dev:
protocol-extensions.md]

It obeys lines on its input, and answers each with one line:

  shards N         nodes have N shards from now on; connections are told when they are opened
  nat N            the port that a connection comes from is N higher than where it was sent from
  keyspace NAME    the keyspace whose tables have tablets
  tablet ID:SHARD  each table has one tablet, there; `tablet none`: nobody is told where
  limit N          the next N executions of negotiated connections hit the rate limit
  close            closes all connections
  counts           what it has seen, as JSON
"""
import asyncio
import hashlib
import json
import re
import ssl
import struct
import sys
import uuid

PORT, SHARD_PORT, SHARD_PORT_TLS = 9042, 19042, 19142
ERROR, STARTUP, SUPPORTED, QUERY, RESULT, PREPARE, EXECUTE = 0, 1, 6, 7, 8, 9, 10
TRACING, PAYLOAD, WARNING = 2, 4, 8  # flags of an envelope
ROWS, PREPARED = 2, 4
LWT_MARK, RATE_LIMIT = 1 << 31, 0xF000
EXTENSIONS = {
    "SCYLLA_LWT_ADD_METADATA_MARK": "LWT_OPTIMIZATION_META_BIT_MASK=%d" % LWT_MARK,
    "SCYLLA_RATE_LIMIT_ERROR": "ERROR_CODE=%d" % RATE_LIMIT,
    "TABLETS_ROUTING_V1": "",
    "SCYLLA_USE_METADATA_ID": "",
}


PORTS = {PORT: "plain port", SHARD_PORT: "shard-aware port",
         SHARD_PORT_TLS: "shard-aware port for TLS"}


class Reader:
    def __init__(self, body, at=0):
        self.body, self.at = body, at

    def take(self, size):
        self.at += size
        if self.at > len(self.body):
            raise ValueError("short body")
        return self.body[self.at - size:self.at]

    def number(self, form):
        return struct.unpack(">" + form, self.take(struct.calcsize(form)))[0]

    def short_bytes(self):
        return self.take(self.number("H"))

    def string_list(self):
        return [self.short_bytes().decode() for _ in range(self.number("H"))]

    def type(self):
        kind = self.number("H")
        if kind == 0:
            self.short_bytes()
        elif kind in (0x20, 0x22):
            self.type()
        elif kind == 0x21:
            self.type()
            self.type()
        elif kind == 0x30:
            self.short_bytes()
            self.short_bytes()
            for _ in range(self.number("H")):
                self.short_bytes()
                self.type()
        elif kind == 0x31:
            for _ in range(self.number("H")):
                self.type()

    def columns(self, flags, count):
        """The bytes that describe them."""
        start = self.at
        if flags & 1:
            self.short_bytes()
            self.short_bytes()
        for _ in range(count):
            if not flags & 1:
                self.short_bytes()
                self.short_bytes()
            self.short_bytes()
            self.type()
        return self.body[start:self.at]


def short_bytes(value):
    return struct.pack(">H", len(value)) + value


def cell(value):
    return struct.pack(">i", len(value)) + value


def envelope(version, flags, stream, opcode, body):
    return struct.pack(">BBhBI", version, flags, stream, opcode, len(body)) + body


def metadata_id(columns):
    return hashlib.sha256(columns).digest()[:16]


class Face:
    """What all nodes show."""

    def __init__(self):
        self.shards, self.nat, self.limit = 3, 0, 0
        self.keyspace, self.tablet = None, None
        self.nodes = {}

    def command(self, line):
        word, _, value = line.strip().partition(" ")
        if word in ("shards", "nat", "limit"):
            setattr(self, word, int(value))
        elif word == "keyspace":
            self.keyspace = value.encode()
        elif word == "tablet" and value == "none":
            self.tablet = None
        elif word == "tablet":
            host_id, _, shard = value.partition(":")
            self.tablet = (uuid.UUID(host_id), int(shard))
        elif word == "close":
            for node in self.nodes.values():
                for connection in list(node.connections):
                    connection.writer.close()
        elif word == "counts":
            return json.dumps({front: node.counts() for front, node in self.nodes.items()})
        else:
            return "unknown"
        return "done"


class Node:
    def __init__(self, face, front, real):
        self.face, self.front, self.real = face, front, real
        self.host_id = None
        self.connections = set()
        self.totals = {}
        self.startup = {}

    def count(self, name, shard=None):
        name = name if shard is None else "%s %d" % (name, shard)
        self.totals[name] = self.totals.get(name, 0) + 1

    def counts(self):
        counts = dict(self.totals, host_id=str(self.host_id), startup=self.startup)
        for connection in self.connections:
            name = "open %d" % connection.shard
            counts[name] = counts.get(name, 0) + 1
        return counts

    def shard_for(self, port, aware):
        shards = self.face.shards
        if aware:
            return (port + self.face.nat) % shards
        held = [sum(c.shard == shard for c in self.connections) for shard in range(shards)]
        return held.index(min(held))

    async def accept(self, reader, writer, port):
        shard = self.shard_for(writer.get_extra_info("peername")[1], port != PORT)
        self.count(PORTS[port])
        connection = Connection(self, shard, writer, self.face.shards)
        self.connections.add(connection)
        try:
            await connection.run(reader)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.connections.discard(connection)
            writer.close()


class Connection:
    def __init__(self, node, shard, writer, shards):
        self.node, self.shard, self.shards, self.writer = node, shard, shards, writer
        self.extensions = set()
        self.under_way = {}  # by stream: what its answer has to be changed by

    async def run(self, reader):
        real, sink = await asyncio.open_connection(self.node.real, PORT)
        back = asyncio.create_task(self.pump(real, self.writer, self.answer))
        try:
            await self.pump(reader, sink, self.request)
        finally:
            back.cancel()
            sink.close()

    async def pump(self, source, sink, change):
        try:
            while True:
                header = await source.readexactly(9)
                version, flags, stream, opcode, size = struct.unpack(">BBhBI", header)
                body = await source.readexactly(size)
                sink.write(change(version, flags, stream, opcode, body))
                await sink.drain()
        finally:
            self.writer.close()

    # ---- what the driver asks ----

    def request(self, version, flags, stream, opcode, body):
        if version not in (3, 4):
            message = b"Invalid or unsupported protocol version: the greatest is 4"
            return self.tell(stream, struct.pack(">i", 10) + short_bytes(message), ERROR)
        if opcode == STARTUP:
            reader = Reader(body)
            options = {}
            for _ in range(reader.number("H")):
                key = reader.short_bytes().decode()
                options[key] = reader.short_bytes().decode()
            self.extensions = EXTENSIONS.keys() & options.keys()
            self.node.startup = options
        elif opcode in (QUERY, PREPARE):
            if opcode == QUERY:
                self.node.count("query", self.shard)
            reader = Reader(body)
            text = reader.take(reader.number("i"))
            if opcode == QUERY and b"system_schema.scylla_keyspaces" in text:
                return self.tell(stream, self.scylla_keyspaces())
            asked = re.sub(rb" USING TIMEOUT \d+ms", b"", text)  # Scylla's own syntax
            if opcode == PREPARE:
                self.under_way[stream] = {"lwt": b" IF " in text.upper()}
            body = cell(asked) + body[reader.at:]
        elif opcode == EXECUTE:
            self.node.count("execute", self.shard)
            if self.node.face.limit and "SCYLLA_RATE_LIMIT_ERROR" in self.extensions:
                self.node.face.limit -= 1
                error = struct.pack(">i", RATE_LIMIT) + short_bytes(b"rate limit") + b"\0\1"
                return self.tell(stream, error, ERROR)
            body = self.execute(flags, stream, body)
        return envelope(version, flags, stream, opcode, body)

    def tell(self, stream, body, opcode=RESULT):
        """Answers by itself; the node doesn't hear of it."""
        self.writer.write(envelope(0x84, 0, stream, opcode, body))
        return b""

    def scylla_keyspaces(self):
        """A table that Cassandra doesn't have: keyspace_name text, initial_tablets int."""
        head = struct.pack(">iIi", ROWS, 1, 2) + short_bytes(b"system_schema")
        head += short_bytes(b"scylla_keyspaces")
        for name, kind in ((b"keyspace_name", 0x0D), (b"initial_tablets", 0x09)):
            head += short_bytes(name) + struct.pack(">H", kind)
        keyspace = self.node.face.keyspace
        if not keyspace:
            return head + struct.pack(">i", 0)
        return head + struct.pack(">i", 1) + cell(keyspace) + cell(struct.pack(">i", 1))

    def execute(self, flags, stream, body):
        """Without the metadata id, which a Cassandra doesn't know in v4; whole metadata come back."""
        self.under_way[stream] = {"execute": True}
        if "SCYLLA_USE_METADATA_ID" not in self.extensions:
            return body
        reader = Reader(body)
        payload = b""
        if flags & PAYLOAD:
            for _ in range(reader.number("H")):
                reader.short_bytes()
                reader.take(max(reader.number("i"), 0))
            payload = body[:reader.at]
        statement = reader.short_bytes()
        known = reader.short_bytes()
        consistency, bits = reader.take(2), reader.number("B")
        self.under_way[stream].update(known=known, skip=bits & 2)
        return (payload + short_bytes(statement) + consistency + bytes([bits & ~2])
                + body[reader.at:])

    # ---- what the node answers ----

    def answer(self, version, flags, stream, opcode, body):
        about = self.under_way.pop(stream, None) if stream >= 0 else None
        if opcode == SUPPORTED:
            body = self.supported(body)
        elif opcode == RESULT and about:
            reader = Reader(body)
            if flags & TRACING:
                reader.take(16)
            if flags & WARNING:
                reader.string_list()
            start = reader.at
            kind = reader.number("i")
            if kind == PREPARED:
                body = body[:start] + self.prepared(reader, about)
            elif "execute" in about:
                if kind == ROWS and "known" in about:
                    body = body[:start] + self.rows(reader, about)
                if not flags & PAYLOAD:
                    payload = self.tablet()
                    if payload:  # it stands behind tracing id and warnings
                        body = body[:start] + payload + body[start:]
                        flags |= PAYLOAD
        return envelope(version, flags, stream, opcode, body)

    def supported(self, body):
        reader, options = Reader(body), {}
        for _ in range(reader.number("H")):
            key = reader.short_bytes().decode()
            options[key] = reader.string_list()
        options.pop("PROTOCOL_VERSIONS", None)
        options["COMPRESSION"] = []
        options.update({
            "SCYLLA_HOST_ID": [str(self.node.host_id)],
            "SCYLLA_SHARD": [str(self.shard)],
            "SCYLLA_NR_SHARDS": [str(self.shards)],
            "SCYLLA_SHARDING_ALGORITHM": ["biased-token-round-robin"],
            "SCYLLA_SHARDING_IGNORE_MSB": ["12"],
            "SCYLLA_PARTITIONER": ["org.apache.cassandra.dht.Murmur3Partitioner"],
            "SCYLLA_SHARD_AWARE_PORT": [str(SHARD_PORT)],
            "SCYLLA_SHARD_AWARE_PORT_SSL": [str(SHARD_PORT_TLS)],
        })
        options.update((name, [value]) for name, value in EXTENSIONS.items())
        parts = [struct.pack(">H", len(options))]
        for key, values in options.items():
            parts += [short_bytes(key.encode()), struct.pack(">H", len(values))]
            parts += [short_bytes(value.encode()) for value in values]
        return b"".join(parts)

    def prepared(self, reader, about):
        statement = reader.short_bytes()
        bind = reader.at
        flags, count = reader.number("I"), reader.number("i")
        reader.take(2 * reader.number("i"))  # indexes of the key
        reader.columns(flags, count)
        rows = reader.at
        row_flags, row_count = reader.number("I"), reader.number("i")
        columns = reader.columns(row_flags, row_count) if not row_flags & 4 else b""
        if about.get("lwt") and "SCYLLA_LWT_ADD_METADATA_MARK" in self.extensions:
            flags |= LWT_MARK
        own = b""
        if "SCYLLA_USE_METADATA_ID" in self.extensions:
            own = short_bytes(metadata_id(columns))
        return (struct.pack(">i", PREPARED) + short_bytes(statement) + own
                + struct.pack(">I", flags) + reader.body[bind + 4:rows] + reader.body[rows:])

    def rows(self, reader, about):
        """As the driver asked for it: without columns that it knows, or with new ones and their
        id."""
        flags, count = reader.number("I"), reader.number("i")
        paging = cell(reader.take(reader.number("i"))) if flags & 2 else b""
        columns = reader.columns(flags, count)
        current = metadata_id(columns)
        head, rest = b"", reader.body[reader.at:]
        if about["known"] != current:
            self.node.count("metadata changed")
            flags, head = flags | 8, short_bytes(current) + columns
        elif about["skip"]:
            self.node.count("metadata skipped")
            flags = flags & ~1 | 4
        else:
            head = columns
        return struct.pack(">iIi", ROWS, flags, count) + paging + head + rest

    def tablet(self):
        """The payload that tells where it is, for who came to another place."""
        tablet = self.node.face.tablet
        if not tablet or "TABLETS_ROUTING_V1" not in self.extensions:
            return None
        if tablet == (self.node.host_id, self.shard):
            return None
        self.node.count("tablet payload")
        replica = cell(tablet[0].bytes) + cell(struct.pack(">i", tablet[1]))
        value = (cell(struct.pack(">q", -1 << 63)) + cell(struct.pack(">q", (1 << 63) - 1))
                 + cell(struct.pack(">i", 1) + cell(replica)))
        return struct.pack(">H", 1) + short_bytes(b"tablets-routing-v1") + cell(value)


async def host_id_of(real):
    reader, writer = await asyncio.open_connection(real, PORT)

    async def ask(opcode, body):
        writer.write(envelope(4, 0, 0, opcode, body))
        header = await reader.readexactly(9)
        return await reader.readexactly(struct.unpack(">I", header[5:])[0])

    await ask(STARTUP, b"\0\1" + short_bytes(b"CQL_VERSION") + short_bytes(b"3.0.0"))
    rows = await ask(QUERY, cell(b"SELECT host_id FROM system.local") + b"\0\1\0")
    writer.close()
    return uuid.UUID(bytes=rows[-16:])


async def main():
    face, ports = Face(), {PORT: None, SHARD_PORT: None}
    pairs = dict(word.split("=") for word in sys.argv[1:])
    if "tls" in pairs:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pairs.pop("tls").split(","))
        ports = {PORT: context, SHARD_PORT: None, SHARD_PORT_TLS: context}
    for front, real in pairs.items():
        node = face.nodes[front] = Node(face, front, real)
        node.host_id = await host_id_of(real)
        for port, context in ports.items():
            await asyncio.start_server(
                lambda r, w, node=node, port=port: node.accept(r, w, port),
                front, port, ssl=context)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while True:
        line = await lines.readline()
        if not line:
            return
        print(face.command(line.decode()), flush=True)


asyncio.run(main())
