// What `userdriver call` reads and prints.

import ArgumentParser
import FileDescriptors
import Glibc
import UserDriverClient
import Wire

enum CallParameters {
    private static let maximumInput = 1 << 20
    private static let maximumFile = 16 << 20

    /// Throws `ValidationError` for anything but a JSON object.
    static func parse(_ text: String) throws -> JSONValue {
        let value: JSONValue
        do {
            value = try JSON.decode(JSONValue.self, from: Array(text.utf8))
        } catch let error as DecodingError {
            let reason = if case .dataCorrupted(let context) = error { context.debugDescription } else { "\(error)" }
            throw ValidationError("The parameters are not JSON: \(reason). For example: '{\"name\": \"brightness\"}'")
        }
        guard case .object = value else {
            throw ValidationError("The parameters are a JSON object, for example '{\"name\": \"brightness\"}'.")
        }
        return value
    }

    static func standardInput() throws -> String {
        String(decoding: try bytes(STDIN_FILENO, "standard input", maximumInput), as: UTF8.self)
    }

    static func file(_ path: String) throws -> [UInt8] {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_CLOEXEC)) else {
            let number = errno
            throw CommandFailure(
                "\(path) can't be read: \(String(cString: strerror(number))).",
                status: [EACCES, EPERM].contains(number) ? ExitStatus.notPermitted : ExitStatus.failed)
        }
        let bytes = try bytes(file.number, path, maximumFile)
        guard !bytes.isEmpty else { throw CommandFailure("\(path) is empty: there is nothing to send.", status: ExitStatus.usage) }
        return bytes
    }

    private static func bytes(_ file: Int32, _ name: String, _ maximum: Int) throws -> [UInt8] {
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw CommandFailure("\(name) can't be read: \(String(cString: strerror(errno))).") }
            if count == 0 { return result }
            result += buffer[..<count]
            guard result.count <= maximum else {
                throw CommandFailure("\(name) has more than \(maximum) bytes.", status: ExitStatus.usage)
            }
        }
    }
}

/// Prints answers, and writes the bytes that come with them.
final class CallWriter {
    private let path: String?
    private var file: FrameWriter?

    init(path: String?) { self.path = path }

    func write(_ reply: ServiceReply, pretty: Bool) throws {
        if path != "-" {
            let bytes = try JSON.encode(reply.parameters, pretty: pretty)
            try Terminal.print(PlainText.escaped(String(decoding: bytes, as: UTF8.self)), styled: true)
        }
        guard !reply.memory.isEmpty else { return }
        guard let path else {
            let count = reply.memory.reduce(0) { $0 + $1.byteCount }
            return Terminal.note("\(count) bytes came with the answer; -o FILE writes them.")
        }
        let writer = if let file { file } else { try FrameWriter(path: path) }
        file = writer
        for memory in reply.memory { try writer.put(memory.bytes) }
    }

    func close() throws {
        if let path, file == nil {
            Terminal.note("No bytes came with the answer" + (path == "-" ? "." : "; \(PlainText.escaped(path)) was not written."))
        }
        try file?.close()
    }
}

/// The methods that can be called.
struct CallList {
    private struct Listing: Encodable {
        struct Method: Encodable {
            var name: String
            var signature: String
            var description: String?
            var idempotent: Bool
            var resumes: Bool
            var deadline: Double
            var right: MethodPolicy.Right
        }
        var device: String
        var interface: String
        var methods: [Method]
    }

    let client: UserDriverClient
    let services: [ServiceStatus]

    func print(json: Bool) async throws {
        var listings: [(Listing, VarlinkInterface)] = []
        for service in services {
            let definition = try await client.definition(of: service.interface)
            let methods = service.methods.map { method in
                let known = definition.method(method.name)
                return Listing.Method(
                    name: method.name, signature: known?.signatureWithoutDevice ?? method.name,
                    description: known.flatMap { $0.comment.isEmpty ? nil : $0.comment }, idempotent: method.idempotent,
                    resumes: method.resumes, deadline: method.deadline, right: method.right)
            }
            listings.append((Listing(device: service.device, interface: service.interface, methods: methods), definition))
        }
        if json {
            struct List: Encodable { var services: [Listing] }
            let bytes = try JSON.encode(List(services: listings.map(\.0)), pretty: Terminal.isTerminal(1))
            return try Terminal.print(PlainText.escaped(String(decoding: bytes, as: UTF8.self)), styled: true)
        }
        if listings.isEmpty { return Terminal.note("The device's driver has no methods to call.") }
        for (listing, _) in listings {
            try Terminal.print(listing.interface)
            for method in listing.methods { for line in Self.lines(method) { try Terminal.printWrapped(line.printable) } }
        }
    }

    private static func lines(_ method: Listing.Method) -> [String] {
        var lines = ["  \(method.signature)"]
        if let description = method.description { lines.append("      \(description.split(separator: "\n").joined(separator: " "))") }
        var facts = ["answers within \(Figure.decimal(method.deadline, places: 3)) s"]
        if method.resumes {
            facts.append("continues when the driver dies")
        } else if method.idempotent {
            facts.append("repeated when the driver dies")
        }
        if method.right == .administrator { facts.append("only for root and the daemon's user") }
        lines.append("      (\(facts.joined(separator: ", ")))")
        return lines
    }
}
