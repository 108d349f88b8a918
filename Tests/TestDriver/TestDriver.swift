// A driver of no device, which behaves, or misbehaves, as the name it is started under says. For the supervisor's tests.

import CLinux
import FileDescriptors
import DriverObjects
import Glibc
import Wire

/// What a test driver does; the raw value is the executable's name in its bundle.
enum Behaviour: String {
    /// Drives its device, answers calls, streams.
    case good
    /// The same, and touches its device as soon as it has it.
    case hasty
    /// Ends at once.
    case exits
    /// Says hello, takes its device and ends.
    case failsToStart = "fails-to-start"
    /// Says that the device answers nothing.
    case unresponsiveDevice = "unresponsive-device"
    /// Never says hello.
    case unresponsive
    /// Sends what is not a message.
    case garbage
    /// Says hello twice.
    case greets = "greets-twice"
    /// No heartbeat after the first.
    case silent
    /// Ends when it is given a record.
    case poisoned
    /// Neither reads its channel nor heeds SIGTERM once it runs.
    case deaf
    /// Prints without end.
    case chatty
    /// Publishes frames, and dies after each.
    case fruitful
    /// The same as `good`, with frames in its ring, which it changes when it is told to, or not: as the format that is asked for says.
    case moving
    /// Cannot be blamed: ends as soon as it was given a device that has gone.
    case orphaned
}

@main
struct TestDriver {
    let channel = Channel(OwnedDescriptor(DriverContract.channelDescriptor))
    let page: UnsafeMutableRawPointer
    let behaviour: Behaviour
    var generation: UInt32 = 0
    var nextRequest: UInt64 = 1
    /// The call that waits for a ring, by the ring's request.
    var opening: [UInt64: UInt64] = [:]
    /// The streams that are on, and the slot of each in the progress page.
    var streaming: Set<String> = []
    static let slots = ["video": 0, "video2": 1]
    /// A ring's stream, by the ring's request.
    var names: [UInt64: String] = [:]
    /// The one stream that hangs; `nil` for all.
    var hanging: String?
    var takesOver = false
    var turnsStopped = false
    var framesStopped = false
    /// How long it goes on without a supervisor.
    var afterlife: UInt32 = 0
    var isAlone = false
    var rings = MovingRings()
    /// Calls that are not answered.
    var waiting: [UInt64] = []
    /// The call that memory was asked for, by the request, and whether it stays mapped.
    var gifts: [UInt64: (call: UInt64, keeps: Bool)] = [:]
    let delivery: Delivery
    var raw = RawObjects()
    var pages: Pages

    static func main() {
        let name = getenv(DriverContract.nameVariable).map { String(cString: $0) } ?? ""
        guard let behaviour = Behaviour(rawValue: name), let pages = Pages(),
            let page = mmap(nil, ProgressPage.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, DriverContract.progressDescriptor, 0),
            page != MAP_FAILED
        else { exit(99) }
        clinux_install_crash_handler(page + ProgressPage.crashPageOffset)
        var driver = TestDriver(page: page, behaviour: behaviour, pages: pages)
        do {
            try driver.run()
        } catch {
            exit(98)
        }
    }

    init(page: UnsafeMutableRawPointer, behaviour: Behaviour, pages: Pages) {
        self.page = page
        self.pages = pages
        self.behaviour = behaviour
        delivery = Delivery(channel)
    }

    func say(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    mutating func run() throws {
        switch behaviour {
        case .exits:
            say("I have had enough.")
            exit(7)
        case .unresponsive: wait()
        case .garbage:
            _ = clinux_send(channel.descriptor, "no message", 10, nil, 0, 0)
            wait()
        case .chatty: break
        default: break
        }
        let hello = DriverHello(
            driver: behaviour.rawValue, handover: behaviour == .good || behaviour == .moving, movesRings: behaviour == .moving)
        try channel.send(MessageFromDriver.hello(hello))
        if behaviour == .greets { try channel.send(MessageFromDriver.hello(DriverHello(driver: behaviour.rawValue))) }
        while true {
            var entry = pollfd(fd: isAlone ? -1 : channel.descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, 20)
            while !isAlone, case .message(let message, let descriptors) = try next() {
                try take(message, descriptors)
                for descriptor in descriptors { close(descriptor) }
            }
            try tick()
        }
    }

    mutating func next() throws -> Channel.Arrival<MessageToDriver> {
        let arrival = try channel.receiveNow(MessageToDriver.self)
        guard case .end = arrival else { return arrival }
        if afterlife == 0 { exit(0) }
        isAlone = true
        return arrival
    }

    /// For ever, but for signals.
    func wait() -> Never {
        while true { pause() }
    }

    mutating func tick() throws {
        guard generation > 0 else { return }
        if !streaming.isEmpty, behaviour == .moving { rings.tick(page + ProgressPage.slot(0), channel, isAlone: isAlone) }
        if behaviour != .silent, !isAlone {
            try channel.send(MessageFromDriver.heartbeat(statistics))
            if afterlife > 0 { _ = clinux_survive_parent(afterlife) }
        }
        pages.tick()
        for name in streaming {
            let slot = page + ProgressPage.slot(Self.slots[name] ?? 0)
            let hangs = hanging == nil || hanging == name
            if !turnsStopped || !hangs { _ = clinux_add_u64(slot + ProgressPage.turns, 1) }
            _ = clinux_add_u64(slot + ProgressPage.deliveries, 1)
            if behaviour != .moving, !framesStopped || !hangs { _ = clinux_add_u64(slot + ProgressPage.units, 1) }
        }
        if behaviour == .chatty { say(String(repeating: "chatter ", count: 100)) }
    }

    var statistics: DriverStatistics {
        DriverStatistics(
            streams: ["video": .init(frames: clinux_load_u64(page + ProgressPage.units), lost: 2, fps: 30, bytes: 1000)],
            shown: ["mood": "good", "signer": "itself"])
    }

    mutating func take(_ message: MessageToDriver, _ descriptors: [Int32]) throws {
        switch message {
        case .start(let start): try begin(start, descriptors)
        case .ring(let grant):
            guard let call = opening.removeValue(forKey: grant.request) else { return }
            let name = names.removeValue(forKey: grant.request) ?? "video"
            streaming.insert(name)
            clinux_store_u64(page + ProgressPage.slot(Self.slots[name] ?? 0) + ProgressPage.watch, ProgressPage.Watch.turns.rawValue)
            if behaviour == .moving { try rings.opened(grant, descriptors, generation) }
            if call > 0 { try channel.send(MessageFromDriver.reply(DriverReply(id: call, result: [:]))) }
        case .ringRefused(let request, let reason):
            if let gift = gifts.removeValue(forKey: request) {
                try channel.send(MessageFromDriver.reply(DriverReply(id: gift.call, error: CallError("DeviceError", reason))))
                return
            }
            guard let call = opening.removeValue(forKey: request) else { return }
            try channel.send(MessageFromDriver.reply(DriverReply(id: call, error: CallError("DeviceError", reason))))
        case .transfers, .kept, .conversation: break
        case .memory(let grant): try give(grant, descriptors)
        case .cancel(let id):
            waiting.removeAll { $0 == id }
            try channel.send(MessageFromDriver.event(name: "cancelled", parameters: ["call": .int(Int64(id))]))
        case .moveRing(let grant): try rings.take(grant, descriptors)
        case .call(let call): try answer(call, descriptors)
        case .survive(let seconds):
            afterlife = seconds
            guard clinux_survive_parent(seconds) == 0 else { exit(95) }
        case .object(let order):
            if try raw.take(order, descriptors, channel) { break }
            delivery.link.take(order, descriptors: OwnedDescriptors(descriptors.map { clinux_duplicate($0) }))
        case .stop: exit(0)
        }
    }

    mutating func begin(_ start: DriverStart, _ descriptors: [Int32]) throws {
        // A streaming interface's file comes in between where the device is held.
        guard (start.hasRecorder ? 2...3 : 1...2) ~= descriptors.count else { exit(97) }
        generation = start.generation
        takesOver = start.takeover != nil
        switch behaviour {
        case .failsToStart:
            try channel.send(
                MessageFromDriver.failed(CallError("Picky", "the device is not to my taste", layer: "class", remedy: "try another one")))
            exit(1)
        case .unresponsiveDevice:
            try channel.send(MessageFromDriver.unresponsive(CallError("DeviceError", "nothing came back", layer: "class")))
            exit(1)
        case .orphaned: exit(1)
        case .poisoned where start.record != nil: exit(5)
        case .fruitful:
            _ = clinux_add_u64(page + ProgressPage.units, 1)
            exit(6)
        default: break
        }
        // A takeover that does not come about.
        if takesOver, start.streams.values.contains(where: { $0["stalls"] != nil }) { wait() }
        for (name, request) in start.streams { try open(name, request, call: 0) }
        try channel.send(
            MessageFromDriver.started(
                DriverFacts(
                    kind: "test", name: "Test device \(start.configuration["flavour"]?.stringValue ?? "")",
                    interfaces: ["io.userdriver.camera"], streams: Array(Self.slots.keys.sorted()))))
        if behaviour == .poisoned {
            try channel.send(MessageFromDriver.record(["poison": true]))
            exit(4)
        }
        if behaviour == .deaf {
            signal(SIGTERM, SIG_IGN)
            wait()
        }
        try channel.send(MessageFromDriver.heartbeat(statistics))
    }

    mutating func open(_ name: String, _ request: JSONValue, call: UInt64) throws {
        if request["transfers"] != nil {
            let fresh = TransferRequest.Fresh(transferCount: 4, packetCount: 8, packetLength: 64, endpoint: 0x81, interval: 1)
            try channel.send(
                MessageFromDriver.openTransfers(TransferRequest(request: nextRequest, name: name, fresh: takesOver ? nil : fresh)))
            nextRequest += 1
        }
        let number = nextRequest
        nextRequest += 1
        opening[number] = call
        names[number] = name
        rings.way = request["format"]?.stringValue.flatMap(MovingRings.Way.init) ?? rings.way
        let description: JSONValue = [
            "format": request["format"] ?? "grey", "width": 32, "height": 16, "fps": 30.5, "opener": .int(Int64(generation)),
        ]
        var shown = description
        // The same words for every incarnation, unless a test wants them to differ.
        if case .object(var members) = description, request["tells-opener"] == nil {
            members["opener"] = nil
            shown = .object(members)
        }
        try channel.send(
            MessageFromDriver.openRing(
                RingRequest(
                    request: number, name: name, capacity: request["capacity"]?.intValue ?? 4096, slotCount: behaviour == .moving ? 256 : 4,
                    description: shown)))
    }

    /// The memory of a reply: filled, and given.
    mutating func give(_ grant: MemoryGrant, _ descriptors: [Int32]) throws {
        guard let gift = gifts.removeValue(forKey: grant.request), let descriptor = descriptors.first,
            let page = mmap(nil, grant.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), page != MAP_FAILED
        else { return }
        memset(page, 0x5a, grant.byteCount)
        if !gift.keeps { munmap(page, grant.byteCount) }
        try channel.send(MessageFromDriver.reply(DriverReply(id: gift.call, result: [:], memory: [grant.number])))
    }

    mutating func answer(_ call: DriverCall, _ descriptors: [Int32] = []) throws {
        func reply(_ result: JSONValue, continues: Bool? = nil) throws {
            try channel.send(MessageFromDriver.reply(DriverReply(id: call.id, result: result, continues: continues)))
        }
        func refuse(_ code: String, _ message: String) throws {
            try channel.send(MessageFromDriver.reply(DriverReply(id: call.id, error: CallError(code, message))))
        }
        switch (call.method, call.parameters["name"]?.stringValue ?? "") {
        case (StreamCall.open, let name):
            let request = call.parameters["request"] ?? [:]
            if request["refuse"] != nil { return try refuse("Busy", "It is on in another form.") }
            if request["crash"] != nil { abort() }
            // It is on already.
            if behaviour == .moving, rings.isOpen(name) { return try reply([:]) }
            try open(name, request, call: call.id)
        case (StreamCall.close, let name):
            streaming.remove(name)
            rings.close()
            clinux_store_u64(page + ProgressPage.slot(Self.slots[name] ?? 0) + ProgressPage.watch, 0)
            try reply([:])
            try channel.send(MessageFromDriver.event(name: "closed", parameters: ["after": .int(Int64(generation))]))
        case (_, let order) where order.hasPrefix("page"):
            guard let result = pages.take(order, call.parameters) else { exit(94) }
            try reply(result)
        case (_, "deliver"):
            delivery.begin(call.parameters)
            try reply([:])
        case (_, "say"):
            guard let word = try call.parameters["word"]?.decoded(as: ObjectWord.self) else { exit(94) }
            try raw.say(word, for: call.id, channel)
            if case .released = word { try reply([:]) }
        case (_, "scribble"): try reply(["arenas": .int(Int64(raw.scribble()))])
        case (_, "crash"): deliberateCrash()
        case (_, "crash-first") where generation == 1: abort()
        case (_, "exit"): exit(3)
        case (_, let way) where way.hasPrefix("die:") && generation == 1: Death.die(String(way.dropFirst(4)), channel)
        case (_, "never"): waiting.append(call.id)
        case (_, "three"):
            for number in 1...3 { try reply(["number": .int(Int64(number))], continues: number < 3 ? true : nil) }
        case (_, "two-then-crash"):
            for number in 1...2 { try reply(["number": .int(Int64(number)), "generation": .int(Int64(generation))], continues: true) }
            if generation == 1 { abort() }
            try reply(["generation": .int(Int64(generation))])
        case (_, "memory"), (_, "memory-kept"), (_, "memory-huge"):
            gifts[nextRequest] = (call.id, call.parameters["name"] == "memory-kept")
            let byteCount = call.parameters["name"] == "memory-huge" ? 1 << 40 : 100_000
            try channel.send(MessageFromDriver.openMemory(MemoryRequest(request: nextRequest, call: call.id, byteCount: byteCount)))
            nextRequest += 1
        case (_, "sum"):
            var sum = 0
            for (descriptor, byteCount) in zip(descriptors, call.memory ?? []) {
                guard let page = mmap(nil, byteCount, PROT_READ, MAP_SHARED, descriptor, 0), page != MAP_FAILED else { exit(94) }
                for byte in UnsafeRawBufferPointer(start: page, count: byteCount) { sum += Int(byte) }
                munmap(page, byteCount)
            }
            try reply(["sum": .int(Int64(sum)), "count": .int(Int64(descriptors.count)), "generation": .int(Int64(generation))])
        case (_, "foreign-memory"):
            try channel.send(MessageFromDriver.reply(DriverReply(id: call.id, result: [:], memory: [12345])))
        case (_, "no-object"): try reply([1, 2])
        case (_, "busy"): try refuse("InvalidParameter", "No such control.")
        case (_, "stop-turns"): turnsStopped = true
        case (_, "stop-frames"): framesStopped = true
        case (_, "stop-turns-of-second"): (turnsStopped, hanging) = (true, "video2")
        case (_, "stop-frames-of-second"): (framesStopped, hanging) = (true, "video2")
        case (_, "record"):
            try channel.send(MessageFromDriver.record(["kept": .int(Int64(generation))]))
            try reply([:])
        case (_, "talk"):
            // Far too much of it, at once.
            let text = JSONValue.string(String(repeating: "x", count: 30_000))
            for number in 0..<100 {
                try channel.send(MessageFromDriver.event(name: "talk", parameters: ["text": text]))
                try channel.send(MessageFromDriver.log(level: "info", message: "line \(number)"))
            }
            try reply([:])
        case (_, "large-record"):
            try channel.send(MessageFromDriver.record(.string(String(repeating: "r", count: (32 << 10) - 2))))
            try reply([:])
        case (_, "unasked-ring"):
            opening[nextRequest] = call.id
            try channel.send(
                MessageFromDriver.openRing(RingRequest(request: nextRequest, name: "other", capacity: 4096, slotCount: 4, description: [:]))
            )
            nextRequest += 1
        case (_, "unasked-transfers"):
            opening[nextRequest] = call.id
            let fresh = TransferRequest.Fresh(transferCount: 4, packetCount: 8, packetLength: 64, endpoint: 0x81, interval: 1)
            try channel.send(MessageFromDriver.openTransfers(TransferRequest(request: nextRequest, name: "other", fresh: fresh)))
            nextRequest += 1
        case (_, "end-stream"):
            try channel.send(MessageFromDriver.ringClosed(name: "video", reason: "The show is over."))
            try reply([:])
        case (_, "change"):
            try channel.send(MessageFromDriver.ringChanged(name: "video", description: ["format": "green"]))
            try reply([:])
        default: try reply(["echo": call.parameters, "generation": .int(Int64(generation))])
        }
    }
}

/// A function whose name a backtrace should show.
@inline(never)
func deliberateCrash() {
    abort()
}
