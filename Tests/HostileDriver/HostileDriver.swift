// A driver that somebody has taken over: it does what a call of the test's tells it to try, and says how that ended if it still can.

import CAttempts
import CLinux
import FileDescriptors
import Glibc
import Wire

@main
struct HostileDriver {
    let channel = Channel(OwnedDescriptor(DriverContract.channelDescriptor))
    let page: UnsafeMutableRawPointer
    /// The ring's descriptor, its mapping and size, once a stream was opened.
    var ring: Int32 = -1
    var memory: UnsafeMutableRawBufferPointer?
    var opening: UInt64?

    static func main() {
        guard let page = mmap(nil, ProgressPage.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, DriverContract.progressDescriptor, 0),
            page != MAP_FAILED
        else { exit(99) }
        clinux_install_crash_handler(page + ProgressPage.crashPageOffset)
        var driver = HostileDriver(page: page)
        do {
            try driver.run()
        } catch {
            exit(98)
        }
    }

    init(page: UnsafeMutableRawPointer) { self.page = page }

    mutating func run() throws {
        try send(.hello(DriverHello(driver: "hostile")))
        while true {
            var entry = pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, 20)
            while case .message(let message, let descriptors) = try next() { try take(message, descriptors) }
            if started { try send(.heartbeat(DriverStatistics())) }
        }
    }

    private var started = false

    func send(_ message: MessageFromDriver) throws { try channel.send(message) }

    func next() throws -> Channel.Arrival<MessageToDriver> {
        let arrival = try channel.receiveNow(MessageToDriver.self)
        if case .end = arrival { exit(0) }
        return arrival
    }

    mutating func take(_ message: MessageToDriver, _ descriptors: [Int32]) throws {
        switch message {
        case .start:
            started = true
            try send(.started(DriverFacts(kind: "test", name: "Hostile", interfaces: ["io.userdriver.camera"])))
        case .ring:
            ring = descriptors.first ?? -1
            var status = stat()
            if fstat(ring, &status) == 0, let start = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0),
                start != MAP_FAILED
            {
                memory = UnsafeMutableRawBufferPointer(start: start, count: Int(status.st_size))
            }
            if let call = opening { try send(.reply(DriverReply(id: call, result: [:]))) }
        case .call(let call) where call.method == StreamCall.open:
            opening = call.id
            let name = call.parameters["name"]?.stringValue ?? "video"
            try send(.openRing(RingRequest(request: 1, name: name, capacity: 4096, slotCount: 4, description: ["format": "grey"])))
        case .call(let call) where call.method == StreamCall.close: try send(.reply(DriverReply(id: call.id, result: [:])))
        case .cancel, .memory: break
        case .call(let call):
            // A call that its predecessor died of comes again.
            guard call.parameters["process"]?.intValue == Int(getpid()) else {
                return try send(.reply(DriverReply(id: call.id, result: ["outcome": "left to a successor"])))
            }
            let outcome = try misbehave(call.parameters)
            try send(.reply(DriverReply(id: call.id, result: ["outcome": .int(Int64(outcome))])))
        case .ringRefused, .transfers, .survive, .moveRing, .kept, .conversation, .object: break
        case .stop: exit(0)
        }
    }

    mutating func misbehave(_ parameters: JSONValue) throws -> Int {
        func number(_ name: String) -> Int32 { Int32(truncatingIfNeeded: parameters[name]?.intValue ?? 0) }
        let name = parameters["name"]?.stringValue ?? ""
        if let outcome = try misbehaveInMessages(name) { return outcome }
        let texts = ["socket", "abstract", "scratch"].map { strdup(parameters[$0]?.stringValue ?? "") }
        defer { for text in texts { free(text) } }
        var around = circumstances(
            supervisor: number("supervisor"), bystander: number("bystander"), tcp_port: number("tcp"), udp_port: number("udp"),
            socket_path: texts[0], abstract_name: texts[1], scratch: texts[2], ring: ring)
        return attempt(name, &around)
    }

    /// What is tried with words and shared memory. `nil` for other names.
    private mutating func misbehaveInMessages(_ name: String) throws -> Int? {
        switch name {
        case "garbage": raw(Array("no message".utf8))
        case "empty": raw(Array("{}".utf8))
        case "deep": raw([UInt8](repeating: UInt8(ascii: "["), count: 50_000))
        case "enormous":
            // A packet beyond what a channel takes; the socket's own limit may refuse it first.
            return Int(clinux_send(channel.descriptor, [UInt8](repeating: 0x20, count: 150_000), 150_000, nil, 0, 0))
        case "odd-descriptors":
            let packet = Array("{\"log\":{\"level\":\"info\",\"message\":\"with descriptors\"}}".utf8)
            for _ in 0..<100 { _ = clinux_send(channel.descriptor, packet, UInt(packet.count), [0, 1, 2, 3, 4, 0, 1, 2], 8, 0) }
        case "greets-again": try send(.hello(DriverHello(driver: "hostile")))
        case "starts-again": try send(.started(DriverFacts(kind: "x", name: "x", interfaces: [])))
        case "answers-unasked":
            for id in [0, 1, 1 << 40, UInt64.max >> 1] { try send(.reply(DriverReply(id: id, result: [1, 2, 3]))) }
        case "closes-channel": Glibc.shutdown(channel.descriptor, Int32(SHUT_RDWR))
        case "floods-channel":
            for _ in 0..<20_000 { try send(.heartbeat(DriverStatistics())) }
        case "floods-log":
            let text = String(repeating: "log ", count: 1000)
            for _ in 0..<2000 { try send(.log(level: "info", message: text)) }
        case "floods-events":
            for number in 0..<5000 { try send(.event(name: "e", parameters: ["number": .int(Int64(number))])) }
        case "control-characters": try send(.log(level: "\u{1b}[2J", message: "\u{1b}]0;owned\u{7}\r\n\0"))
        case "lies-in-statistics":
            try send(.heartbeat(DriverStatistics(streams: ["video": .init(frames: .max, lost: .max, fps: 1e308, bytes: .max)])))
        case "enormous-record": try send(.record(.string(String(repeating: "r", count: 60_000))))
        case "enormous-ring":
            for (capacity, slots) in [(1 << 60, 4), (-1, 4), (4096, -1), (Int.max, Int.max), (0, 0), (1 << 31, 1 << 20)] {
                try send(.openRing(RingRequest(request: 9, name: "big", capacity: capacity, slotCount: slots, description: [:])))
            }
        case "thousand-rings":
            for number in 0..<1000 {
                let name = "r\(number)"
                try send(.openRing(RingRequest(request: UInt64(number), name: name, capacity: 1 << 20, slotCount: 8, description: [:])))
            }
        case "closes-foreign-rings":
            for name in ["", "video", "/etc/passwd", String(repeating: "n", count: 30_000)] {
                try send(.ringClosed(name: name, reason: "mine"))
                try send(.ringChanged(name: name, description: ["format": "other"]))
            }
        case "scribbles-page": memset(page, 0xff, ProgressPage.byteCount)
        case "scribbles-page-and-dies":
            memset(page + ProgressPage.crashPageOffset + 8, 0xff, 4000)
            _exit(44)
        case "fills-ring-with-ones": fill(0xff)
        case "fills-ring-with-zeroes": fill(0)
        case "fills-ring-at-random":
            // A generator of Numerical Recipes' constants: the same bytes each time.
            var state: UInt32 = 1
            for index in memory?.indices ?? 0..<0 {
                state = state &* 1_664_525 &+ 1_013_904_223
                memory?[index] = UInt8(truncatingIfNeeded: state >> 24)
            }
        case "lies-about-lengths":
            // Words that are plausible as lengths and sequence numbers, everywhere.
            for (index, value) in stride(from: 0, to: memory?.count ?? 0, by: 8).enumerated() {
                memory?.storeBytes(of: UInt64(index % 7) | 0x7fff_ffff_0000_0000, toByteOffset: value, as: UInt64.self)
            }
        default: return nil
        }
        return 0
    }

    private func raw(_ bytes: [UInt8]) { _ = clinux_send(channel.descriptor, bytes, UInt(bytes.count), nil, 0, 0) }

    private func fill(_ byte: UInt8) {
        if let memory { _ = memory.initializeMemory(as: UInt8.self, repeating: byte) }
    }
}
