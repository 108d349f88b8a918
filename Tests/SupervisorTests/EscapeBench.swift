// A supervisor with two devices: one whose driver somebody has taken over, and one whose driver and watcher must not notice.

import CLinux
import FrameRing
import Glibc
import Testing
import Wire

@testable import Supervisor

/// What a try is expected to come to.
enum Outcome: Hashable, Sendable {
    /// The process ends with a crash report that names the call.
    case forbidden(String)
    case fails(Int32)
    /// It returns something between these.
    case returns(ClosedRange<Int>)
    /// The process ends, and why says this.
    case ends(String)
    /// It gets what it asked for, or chokes on it: only others must not notice.
    case harmless
}

/// Serves all tests of a suite, one after the other.
final class EscapeBench: Sendable {
    static let hostileID = "1234:5678:HOSTILE"
    static let bystanderID = "1234:5678:BYSTANDER"
    @TaskLocal static var shared: EscapeBench?

    let bench: Bench
    private let listener: TestClient
    private let watcher: TestClient
    private let bystander: Int32
    /// Where nobody may ever come: a TCP, a UDP and an abstract Unix socket of this process.
    private let traps: [Int32]
    private let ports: [UInt16]
    private let abstractName = "userdriver-test-\(getpid())-\(UInt64.random(in: .min ... .max))"
    private var scratch: String { bench.folder.path + "/scratch" }

    init(adjust: @escaping (inout SupervisorConfiguration) -> Void = { _ in }) async throws {
        bench = try await Bench {
            $0.timing.restartsToOpenCircuit = 1_000_000
            // A machine that a flood keeps busy answers late.
            $0.timing.callLimit = .seconds(120)
            do {
                try Bench.makeBundle(
                    in: $0.driverFolders[0], id: "hostile", behaviour: "hostile", of: "hostile-driver", deviceClass: 0x03)
            } catch {
                Issue.record(error)
            }
            adjust(&$0)
        }
        mkdir(bench.folder.path + "/scratch", 0o777)
        try StateFile.write(Array("secret".utf8), to: bench.folder.path + "/scratch/secret")
        var port: UInt16 = 0
        let tcp = clinux_tcp_listen("127.0.0.1", 0, &port)
        let (udp, udpPort) = Self.udp()
        traps = [tcp, udp, Self.abstract(abstractName)]
        ports = [port, udpPort]
        #expect(traps.allSatisfy { $0 >= 0 })
        listener = try await bench.listener()
        try await bench.drive(makeDevice(path: "1-2", serial: "BYSTANDER"))
        bystander = try #require(try await bench.status().first { $0.id == Self.bystanderID }).pid
        watcher = try bench.client()
        try await watcher.send("io.userdriver.Watch", ["device": .string(Self.bystanderID), "request": [:]], more: true)
        for descriptor in try #require(try await watcher.receive()).descriptors { close(descriptor) }
        bench.source.plug(makeDevice(path: "1-1", serial: "HOSTILE", interfaceClass: 0x03))
        try await awaitRunning()
    }

    func stop() async {
        for trap in traps { close(trap) }
        await bench.stop()
    }

    private static func udp() -> (Int32, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, size)
                _ = getsockname(descriptor, $0, &size)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    private static func abstract(_ name: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0[1...].copyBytes(from: name.utf8) }
        let size = socklen_t(2 + 1 + name.utf8.count)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = bind(descriptor, $0, size) }
        }
        return listen(descriptor, 4) == 0 ? descriptor : -1
    }

    // MARK: Trying

    private func hostile() async throws -> DeviceStatus { try #require(try await bench.status().first { $0.id == Self.hostileID }) }

    private func awaitRunning() async throws {
        // It may not even be known yet.
        while try await bench.status().first(where: { $0.id == Self.hostileID })?.state != .running { _ = try await event("running") }
    }

    /// The next event of that kind about the hostile driver.
    private func event(_ names: String...) async throws -> JSONValue {
        while let (reply, _) = try await listener.receive() {
            guard reply.parameters["device"]?.stringValue == Self.hostileID else { continue }
            if names.contains(reply.parameters["event"]?.stringValue ?? "") { return reply.parameters }
        }
        throw CallError("End", "the connection ended before \(names)")
    }

    /// Has the hostile driver try something, and checks what came of it.
    func attempt(_ name: String, _ expected: Outcome) async throws {
        try await awaitRunning()
        let before = try await hostile().pid
        // What it returned; nil where the process died of it, and its successor was asked again.
        let outcome: Int?
        do {
            let reply = try await bench.client().call(
                "io.userdriver.camera.GetControl",
                [
                    "device": .string(Self.hostileID), "name": .string(name), "process": .int(Int64(before)),
                    "supervisor": .int(Int64(getpid())), "bystander": .int(Int64(bystander)), "tcp": .int(Int64(ports[0])),
                    "udp": .int(Int64(ports[1])),
                    "socket": .string(bench.configuration.socketPath), "abstract": .string(abstractName), "scratch": .string(scratch),
                ])
            outcome = reply["outcome"]?.intValue
        } catch let error as CallError where error.code == "io.userdriver.DriverRestarted" {
            outcome = nil
        }
        switch (expected, outcome) {
        case (.fails(let errno), let outcome?): #expect(outcome == Int(-errno))
        case (.returns(let range), let outcome?): #expect(range.contains(outcome))
        case (.forbidden(let call), nil):
            let message = try await event("died", "backoff")["message"]?.stringValue ?? ""
            #expect(message.contains("forbidden call: \(call)."), "\(message)")
        case (.ends(let why), _):
            let message = try await event("died", "backoff")["message"]?.stringValue ?? ""
            #expect(message.contains(why), "\(message)")
        case (.harmless, nil): _ = try await event("died", "backoff")
        case (.harmless, _): break
        case (.fails, nil), (.returns, nil):
            let message = try await event("died", "backoff")["message"]?.stringValue ?? ""
            Issue.record("\(message)")
        case (.forbidden, let outcome?): Issue.record("the call was made, and returned \(outcome)")
        }
        try await awaitRunning()
        switch expected {
        case .forbidden, .ends: #expect(try await hostile().pid != before)
        case .fails, .returns, .harmless: break
        }
        try await checkUnharmed()
    }

    /// The supervisor answers, the other driver is the same process and answers, its watcher still watches, and nobody came to a trap.
    private func checkUnharmed() async throws {
        let status = try #require(try await bench.status().first { $0.id == Self.bystanderID })
        #expect(status.pid == bystander)
        #expect(status.restarts == 0)
        #expect(status.streams.map(\.clients) == [1])
        let echo = try await bench.client().call(
            "io.userdriver.camera.GetControl", ["device": .string(Self.bystanderID), "name": "gain"])
        #expect(echo["generation"] == 1)
        for trap in traps {
            var entry = pollfd(fd: trap, events: Int16(POLLIN), revents: 0)
            #expect(poll(&entry, 1, 0) == 0, "somebody got out")
        }
        #expect(try StateFile.read(scratch + "/secret", maximumBytes: 100) == Array("secret".utf8))
        let entry = try #require(opendir(scratch))
        defer { closedir(entry) }
        var count = 0
        while readdir(entry) != nil { count += 1 }
        #expect(count == 3, "the folder holds more than . and .. and what was there")
    }

    /// Opens the hostile driver's stream, so that it has a ring. The watcher and its reader.
    func watchHostile() async throws -> (client: TestClient, reader: FrameRingReader) {
        try await awaitRunning()
        let client = try bench.client()
        try await client.send("io.userdriver.Watch", ["device": .string(Self.hostileID), "request": [:]], more: true)
        let (reply, descriptors) = try #require(try await client.receive())
        defer { for descriptor in descriptors { close(descriptor) } }
        let ring = try #require(descriptors.first, "\(reply)")
        let geometry = try #require(FrameRingGeometry(capacity: 4096, slotCount: 4))
        return (client, try FrameRingReader(descriptor: ring, geometry: geometry))
    }
}

/// Gives a suite its bench, and stops it after the last test.
struct EscapeScope: SuiteTrait, TestScoping {
    func provideScope(for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void) async throws {
        let bench = try await EscapeBench()
        try await EscapeBench.$shared.withValue(bench) { try await function() }
        await bench.stop()
    }
}
