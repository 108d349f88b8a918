// `userdriver call`: any method of any driver's interface.

import ArgumentParser
import UserDriverClient
import Wire

struct CallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call",
        abstract: "Call a method of a device's driver.",
        discussion: """
            METHOD is a full name like org.example.thermometer.Read, or its last part if only one of the device's interfaces has \
            it. JSON is an object with its parameters, or - to read it from standard input. The answer is JSON on one line, \
            indented on a terminal. With --more each answer is a line.

            Example:
              userdriver call webcam --list
              userdriver call webcam GetControl '{"name": "brightness"}'
              userdriver call thermometer Watch --more
            """)

    @Argument(help: ArgumentHelp("An id, vid:pid, bus path or part of the name.", valueName: "device"))
    var device: String
    @Argument(help: ArgumentHelp("The method: a full name, or its last part.", valueName: "method"))
    var method: String?
    @Argument(help: ArgumentHelp("The parameters, a JSON object.", valueName: "json"))
    var json: String?
    @Flag(help: "List the methods instead, with what the driver says about them.")
    var list = false
    @Flag(help: "Ask for several answers, and print each as it arrives.")
    var more = false
    @Option(
        name: .long, help: ArgumentHelp("A file to send with the call; up to four.", valueName: "file"), completion: .file())
    var send: [String] = []
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Write the bytes that come with the answer to a file, or to standard output with -.", valueName: "file"),
        completion: .file())
    var output: String?
    @Flag(name: .customLong("json"), help: "With --list, print JSON.")
    var listsJSON = false
    @OptionGroup var daemon: DaemonOptions

    func validate() throws {
        guard !device.allSatisfy(\.isWhitespace) else { throw ValidationError("The device's name is empty.") }
        guard list || method != nil else {
            throw ValidationError("Which method? `userdriver call \(ShellText.quoted(device)) --list` lists them.")
        }
        guard !list || method == nil else { throw ValidationError("--list takes no method.") }
        guard send.count <= MemoryRequest.maximumPerMessage else {
            throw ValidationError("A call takes at most \(MemoryRequest.maximumPerMessage) files.")
        }
        if let json, json != "-" { _ = try CallParameters.parse(json) }
    }

    func run() async throws {
        let client = daemon.client
        let services = try await client.services(device)
        if list { return try await CallList(client: client, services: services).print(json: listsJSON) }
        guard let id = services.first?.device else {
            throw CommandFailure("The driver of \(device) has no methods to call.", status: ExitStatus.failed)
        }
        let target = try CallTarget(method ?? "", in: services, device: device)
        let parameters = try CallParameters.parse(json == "-" ? try CallParameters.standardInput() : json ?? "{}")
        let definition = try await client.definition(of: target.interface)
        if let mismatch = definition.method(target.method.name).flatMap({ definition.mismatch(of: parameters, with: $0.inputWithoutDevice) }
        ) {
            throw CommandFailure(
                "\(target.method.name) does not take these parameters: \(mismatch). Its signature is \(target.signature(in: definition)).",
                status: ExitStatus.usage)
        }
        let memory = try send.map { try CallParameters.file($0) }
        do throws(ClientError) {
            try await call(client, target, id, parameters, memory)
        } catch {
            guard error.code == .invalidParameter else { throw error }
            throw CommandFailure(error.message, status: ExitStatus.usage)
        }
    }

    private func call(
        _ client: UserDriverClient, _ target: CallTarget, _ id: String, _ parameters: JSONValue, _ memory: [[UInt8]]
    ) async throws(ClientError) {
        let writer = CallWriter(path: output)
        do {
            if more {
                for try await reply in client.replies(to: target.name, device: id, parameters, memory: memory) {
                    try writer.write(reply, pretty: false)
                }
            } else {
                // The daemon answers by the deadline, also where the driver doesn't.
                let timeout = Duration.seconds(target.method.deadline) + .seconds(5)
                let reply = try await client.call(target.name, device: id, parameters, memory: memory, timeout: timeout)
                try writer.write(reply, pretty: Terminal.isTerminal(1))
            }
            try writer.close()
        } catch let error as ClientError {
            throw error
        } catch {
            throw ClientError(.failed, "\(error)")
        }
    }
}

/// Which method is meant.
struct CallTarget {
    let interface: String
    let method: ServiceStatus.Method
    var name: String { "\(interface).\(method.name)" }

    /// Throws `CommandFailure` with the name that comes nearest, where there is none like that.
    init(_ text: String, in services: [ServiceStatus], device: String) throws {
        let dot = text.lastIndex(of: ".")
        let last = dot.map { String(text[text.index(after: $0)...]) } ?? text
        let interface = dot.map { String(text[..<$0]) }
        let found = services.flatMap { service in
            service.methods.filter { $0.name == last && (interface ?? service.interface) == service.interface }.map {
                (service.interface, $0)
            }
        }
        if found.count > 1 {
            throw CommandFailure(
                "Several interfaces have a method \(last); say which: \(found.map { "\($0.0).\($0.1.name)" }.joined(separator: ", ")).",
                status: ExitStatus.usage)
        }
        guard let first = found.first else {
            let names = services.flatMap { service in service.methods.map { interface == nil ? $0.name : "\(service.interface).\($0.name)" }
            }
            let nearest = NearestWord.of(text, among: names).map { " Did you mean \($0)?" } ?? ""
            throw CommandFailure(
                "\(device) has no method \(text.printable).\(nearest) `userdriver call \(ShellText.quoted(device)) --list` lists them.",
                status: ExitStatus.usage)
        }
        (self.interface, method) = first
    }

    func signature(in definition: VarlinkInterface) -> String { definition.method(method.name)?.signatureWithoutDevice ?? name }
}

extension VarlinkInterface.Method {
    /// `device` is the daemon's parameter, and named on the command line already.
    var inputWithoutDevice: [VarlinkInterface.Field] { input.filter { $0.name != "device" } }
    var signatureWithoutDevice: String {
        var method = self
        method.input = inputWithoutDevice
        return method.signature
    }
}

enum NearestWord {
    /// The word that is typed like this one, or almost; `nil` if none is near.
    static func of(_ word: String, among words: [String]) -> String? {
        let typed = Array(word.lowercased().utf8.prefix(100))
        let distances = words.map { (word: $0, distance: distance(typed, Array($0.lowercased().utf8.prefix(100)))) }
        guard let best = distances.min(by: { $0.distance < $1.distance }), best.distance <= max(2, typed.count / 3) else { return nil }
        return best.word
    }

    /// Letters to be inserted, left out or replaced.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = letter == other ? diagonal : min(diagonal, above, row[j]) + 1
                diagonal = above
            }
        }
        return row[b.count]
    }
}
