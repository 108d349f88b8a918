// Fuzzes the channel's packets and Varlink's stream.

import Wire

/// A packet of the channel, from either side.
enum ChannelFuzz: FuzzTarget {
    static let name = "channel"
    static let seeds: [[UInt8]] = [
        Array(#"{"stop":{}}"#.utf8), Array(#"{"hello":{"_0":{"protocolVersion":1,"driver":"d"}}}"#.utf8),
        Array(#"{"reply":{"_0":{"id":1,"result":{"a":[1,2.5,"x",null,true]}}}}"#.utf8),
        Array(#"{"openRing":{"_0":{"request":1,"name":"video","capacity":4096,"slotCount":4,"description":{"fps":30}}}}"#.utf8),
        Array(#"{"ring":{"_0":{"request":1,"name":"video","capacity":4096,"slotCount":4}}}"#.utf8),
        Array(#"{"call":{"_0":{"id":1,"method":"a.b","parameters":{"name":"x"}}}}"#.utf8),
    ]

    static func run(_ bytes: [UInt8]) {
        // What can be read can be written, and reads the same again.
        if let message = decode(MessageFromDriver.self, bytes) { again(message) }
        if let message = decode(MessageToDriver.self, bytes) { again(message) }
    }

    private static func decode<Message: Codable & Sendable>(_ type: Message.Type, _ bytes: [UInt8]) -> Message? {
        do throws(WireError) { return try Channel.decode(type, from: bytes) } catch { return nil }
    }

    private static func again<Message: Codable & Equatable & Sendable>(_ message: Message) {
        do {
            let bytes = try JSON.encode(message)
            let read = try JSON.decode(Message.self, from: bytes)
            precondition(read == message, "a message changes when it is passed on")
        } catch {
            preconditionFailure("a message that was read can't be written: \(error)")
        }
    }
}

/// Varlink's stream: the first byte says where the bytes are split.
enum VarlinkFuzz: FuzzTarget {
    static let name = "varlink"
    static let seeds: [[UInt8]] = [
        [3] + Array(#"{"method":"io.userdriver.Status"}"#.utf8) + [0],
        [9] + Array(#"{"method":"a.B","parameters":{"x":1},"more":true}"#.utf8) + [0] + Array(#"{"method":"a.C","oneway":true}"#.utf8) + [
            0
        ],
        [200] + Array(#"{"parameters":{},"continues":true,"error":"a.B"}"#.utf8) + [0],
    ]
    private static let service = VarlinkService(
        vendor: "v", product: "p", version: "1", url: "", interfaces: [ManagementInterface.interface])

    static func run(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let stream = bytes.dropFirst()
        let whole = calls(in: [stream])
        let split = stream.startIndex + min(Int(first), stream.count)
        precondition(calls(in: [stream[..<split], stream[split...]]) == whole, "the split changes what is read")
        for call in whole { _ = service.reply(to: call) }
    }

    private static func calls(in parts: [ArraySlice<UInt8>]) -> [VarlinkCall] {
        var decoder = VarlinkDecoder()
        var result: [VarlinkCall] = []
        do throws(WireError) {
            for part in parts {
                try decoder.append(part)
                while let next = try decoder.next(VarlinkCall.self) { result.append(next.message) }
            }
        } catch {
            // Refused from here on: what came before counts.
        }
        return result
    }
}

/// A definition in Varlink's language, as a bundle brings it.
enum DefinitionFuzz: FuzzTarget {
    static let name = "definition"
    static let seeds: [[UInt8]] = [
        Array(ManagementInterface.definition.utf8), Array(VarlinkService.definition.utf8),
        Array("interface a.b\ntype T (a: ?[]T, b: [string](x, y), c: (d: object))\nmethod M(a: T) -> ()\nerror E ()\n".utf8),
        Array("# c\ninterface a.b-c.d\n\nmethod A() -> (x: (y: (z: float)))".utf8),
    ]

    static func run(_ bytes: [UInt8]) {
        let interface: VarlinkInterface
        do throws(VarlinkSyntaxError) {
            interface = try VarlinkInterface(parsing: bytes)
        } catch {
            precondition(error.line >= 1 && error.column >= 1, "an error stands somewhere")
            return
        }
        // What is printed of a method reads the same again.
        for method in interface.methods {
            let types = interface.types.map { "type \($0.name) \($0.type)" }.joined(separator: "\n")
            let text = "interface a.b\n\(types)\nmethod \(method.signature)"
            do throws(VarlinkSyntaxError) {
                let again = try VarlinkInterface(parsing: text.utf8)
                precondition(again.methods.first?.input == method.input && again.methods.first?.output == method.output, "another method")
            } catch {
                // The text around it may have been shorter than this.
                precondition(text.utf8.count > VarlinkInterface.maximumBytes, "a signature can't be read: \(error)")
            }
            _ = interface.mismatch(of: ["a": 1, "b": [:], "c": ["d"]], with: method.input)
        }
    }
}
