// What survives a supervisor: how it is written down, what is believed of it, and that streams go
// on with it.

import CLinux
import FileDescriptors
import FrameRing
import Glibc
import Spawn
import Testing
import USB
import Wire

@testable import Supervisor

@Suite("Names in the store") struct StoreNameTests {
    @Test func areReadToTheLetter() {
        for text in ["device-0-state", "device-63-1", "device-7-18446744073709551614"] { #expect(StoreName(text)?.description == text) }
        for text in [
            "", "device", "device--", "device-0-", "device--state", "device-64-state", "device--1-1", "device-00-state", "device-0-01",
            "device-0-+1", "device-0-18446744073709551615", "device-0-state-x", "Device-0-state", "device-0-\u{661}", "userdriverd.socket",
        ] { #expect(StoreName(text) == nil, "\(text)") }
        #expect(Supervisor.isStoreName("driver-" + String(repeating: "0a", count: 32)))
        #expect(!Supervisor.isStoreName("driver-" + String(repeating: "0a", count: 31)))
        #expect(!Supervisor.isStoreName("driver-"))
        #expect(Supervisor.isStoreName("process-4711"))
        for text in ["process-", "process-1", "process-0", "process--5", "process-+5", "process-07", "process-5x", "process-2147483648"] {
            #expect(!Supervisor.isStoreName(text), "\(text)")
        }
    }
}

@Suite("A state that survives its process") struct StateMemoryTests {
    private func read(_ memory: StateMemory) -> [UInt8]? {
        var contents: [UInt8] = []
        return StateMemory(adopting: OwnedDescriptor(clinux_duplicate(memory.descriptor)), contents: &contents).map { _ in contents }
    }

    @Test func holdsWhatWasWrittenLast() throws {
        let memory = try StateMemory()
        #expect(read(memory) == nil)
        for text in ["one", "two", "", "four"] {
            #expect(memory.write(Array(text.utf8)))
            #expect(read(memory) == Array(text.utf8))
        }
        #expect(!memory.write([UInt8](repeating: 1, count: StateMemory.capacity + 1)))
        #expect(read(memory) == Array("four".utf8))
        #expect(memory.write([UInt8](repeating: 1, count: StateMemory.capacity)))
        #expect(read(memory)?.count == StateMemory.capacity)
    }

    @Test func anotherProcessGoesOnWritingIt() throws {
        let memory = try StateMemory()
        #expect(memory.write([1]) && memory.write([2]))
        var contents: [UInt8] = []
        let second = try #require(StateMemory(adopting: OwnedDescriptor(clinux_duplicate(memory.descriptor)), contents: &contents))
        #expect(contents == [2])
        #expect(second.write([3]))
        #expect(read(memory) == [3])
    }

    /// Whatever byte of the newer place was not written yet, the older one counts.
    @Test func aHalfWrittenStateIsTheOneBefore() throws {
        let memory = try StateMemory()
        #expect(memory.write(Array("older".utf8)) && memory.write(Array("newer".utf8)))
        for offset in 0..<37 {
            var byte: UInt8 = 0
            #expect(pread(memory.descriptor, &byte, 1, off_t(offset)) == 1)
            var other = byte ^ 0xff
            #expect(pwrite(memory.descriptor, &other, 1, off_t(offset)) == 1)
            #expect(read(memory) == Array("older".utf8), "byte \(offset)")
            #expect(pwrite(memory.descriptor, &byte, 1, off_t(offset)) == 1)
        }
        #expect(read(memory) == Array("newer".utf8))
    }

    @Test func whatIsNoSuchMemoryIsRefused() throws {
        var contents: [UInt8] = []
        let unsealed = clinux_memfd("unsealed", 0)
        #expect(ftruncate(unsealed, off_t(StateMemory.byteCount)) == 0)
        for descriptor in [unsealed, open("/dev/zero", O_RDONLY | O_CLOEXEC), clinux_memfd("small", 0)] {
            #expect(StateMemory(adopting: OwnedDescriptor(descriptor), contents: &contents) == nil)
        }
        // Both places full of the same byte.
        let memory = try StateMemory()
        for byte in [UInt8(0), 1, 0xff] {
            let bytes = [UInt8](repeating: byte, count: StateMemory.byteCount)
            #expect(pwrite(memory.descriptor, bytes, bytes.count, 0) == bytes.count)
            #expect(read(memory) == nil)
        }
    }
}

@Suite("What is written down of a device") struct StoredDeviceTests {
    static let device = StoredDevice(
        information: makeDevice(), driver: "io.userdriver.webcam", driverVersion: "1.0", file: 1, interfaces: 2, process: 4711,
        generation: 7, restarts: 6,
        record: ["format": "yuy2"],
        frames: [
            .init(
                name: "video", request: ["format": "yuy2"], description: ["width": 160],
                geometry: FrameRingGeometry(capacity: 38_400, slotCount: 4)!, memory: 2)
        ],
        transfers: [
            .init(
                grant: TransferGrant(
                    request: 0, name: "video", number: 0, transferCount: 4, packetCount: 32, packetLength: 1024, endpoint: 0x81), memory: 3)
        ])

    @Test func isReadAsItWasWritten() throws {
        #expect(StoredDevice(parsing: try JSON.encode(Self.device)) == Self.device)
    }

    /// A device with a conversation, and no stream.
    private static let talking: StoredDevice = {
        func ring(_ number: Int, _ endpoint: UInt8, _ memory: UInt64) -> StoredDevice.Transfers {
            StoredDevice.Transfers(
                grant: TransferGrant(
                    request: 0, name: "talk", number: number, transferCount: 2, packetCount: 0, packetLength: 512, endpoint: endpoint,
                    logLength: 65_536), memory: memory)
        }
        var device = Self.device
        (device.frames, device.transfers) = ([], [])
        device.conversations = [.init(name: "talk", out: ring(0, 0x01, 2), incoming: ring(1, 0x81, 3))]
        return device
    }()

    @Test func aConversationIsKeptByItself() throws {
        #expect(StoredDevice(parsing: try JSON.encode(Self.talking)) == Self.talking)
        let changes: [(inout StoredDevice) -> Void] = [
            { $0.conversations = [] }, { $0.conversations = nil }, { $0.conversations?[0].name = "" },
            { $0.conversations?[0].name = String(repeating: "x", count: 65) }, { $0.conversations! += $0.conversations! },
            { $0.conversations?[0].out.memory = 3 }, { $0.conversations?[0].out.memory = 1 }, { $0.conversations?[0].out.grant.number = 1 },
            { $0.conversations?[0].incoming.grant.number = 16 }, { $0.conversations?[0].incoming.grant.logLength = -1 },
            { $0.conversations?[0].incoming.grant.logLength = .max }, { $0.conversations?[0].out.grant.packetLength = 0 },
        ]
        for (index, change) in changes.enumerated() {
            var device = Self.talking
            change(&device)
            #expect(try StoredDevice(parsing: JSON.encode(device)) == nil, "change \(index)")
        }
    }

    @Test func whatMakesNoSenseIsNotBelieved() throws {
        let changes: [(inout StoredDevice) -> Void] = [
            { $0.layout = 4 }, { $0.frames[0].upcoming = 2 }, { $0.information.descriptors = [18, 1] }, { $0.restarts = -1 },
            { $0.generation = .max },
            { $0.frames[0].name = "" }, { $0.frames[0].name = String(repeating: "x", count: 65) }, { $0.frames[0].geometry.slotCount = 1 },
            { $0.frames[0].geometry.capacity = .max }, { $0.frames[0].geometry.capacity = -1 }, { $0.frames += $0.frames },
            { $0.frames = [] },
            { $0.transfers = [] }, { $0.transfers += $0.transfers }, { $0.transfers[0].memory = 2 }, { $0.transfers[0].memory = 1 },
            { $0.transfers[0].grant.number = 16 }, { $0.transfers[0].grant.number = -1 }, { $0.transfers[0].grant.transferCount = 1 << 40 },
            { $0.transfers[0].grant.packetCount = -1 }, { $0.transfers[0].grant.packetLength = .max },
            { $0.transfers[0].grant.name = "other" },
        ]
        for (index, change) in changes.enumerated() {
            var device = Self.device
            change(&device)
            #expect(StoredDevice(parsing: try JSON.encode(device)) == nil, "change \(index)")
        }
    }

    @Test func noCutOrFlippedByteBringsItDown() throws {
        let bytes = try JSON.encode(Self.device)
        for count in 0..<bytes.count { #expect(StoredDevice(parsing: Array(bytes.prefix(count))) == nil) }
        for index in bytes.indices {
            for bit in 0..<8 {
                var altered = bytes
                altered[index] ^= 1 << UInt8(bit)
                if let device = StoredDevice(parsing: altered) { #expect(device.isSound) }
            }
        }
    }
}

// One after the other, and no time-out that a busy machine reaches: each has two or three supervisors and their drivers.
@Suite("Streams that survive the supervisor", .serialized, .timeLimit(.minutes(5))) struct SuccessionTests {
    private let store = FakeStore()
    private let folder = TemporaryFolder()

    private func bench(
        _ source: FakeSource = FakeSource(), behaviour: String = "good", inherits: Bool = false, returnLimit: Duration = .seconds(300),
        afterlife: Duration = .seconds(300)
    ) async throws -> Bench {
        source.keepDevices()
        let store = store
        return try await Bench(behaviour, in: folder, source: source) { configuration in
            configuration.store = store
            configuration.timing.watchersReturn = returnLimit
            configuration.timing.afterlife = afterlife
            configuration.timing.callLimit = .seconds(200)
            configuration.timing.ringLimit = .seconds(300)
            if inherits { configuration.inherited = store.handOver() }
        }
    }

    private func watch(_ bench: Bench, _ request: JSONValue) async throws -> (client: TestClient, reply: JSONValue, ring: UInt) {
        let client = try bench.client()
        try await client.send("io.userdriver.Watch", ["request": request], more: true)
        let (reply, descriptors) = try #require(try await client.receive())
        if let error = reply.error { throw CallError(error, reply.parameters["message"]?.stringValue ?? "") }
        defer { for descriptor in descriptors { close(descriptor) } }
        return (client, reply.parameters, descriptors.first.map(inode) ?? 0)
    }

    private func wait(until condition: () async throws -> Bool) async throws {
        for _ in 0..<20_000 {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        Issue.record("it did not come to pass: \(store.names)")
    }

    /// How a process of an earlier supervisor, which is this process's child, has ended: as `wait` tells it. `nil` while it lives.
    private func end(of process: Int32) -> Int32? {
        var status: Int32 = 0
        return waitpid(process, &status, WNOHANG) == process ? status : nil
    }

    private var devices: [String] { store.names.filter { $0.hasPrefix("device-") } }

    @Test func areTakenOverByTheNextOne() async throws {
        let first = try await bench()
        try await first.drive()
        let driver = try #require(try await first.status().first?.pid)
        #expect(store.names == ["process-\(driver)"])
        let (client, _, ring) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        #expect(devices == ["device-0-1", "device-0-2", "device-0-3", "device-0-state"])
        _ = try await first.client().call("io.userdriver.camera.GetControl", ["name": "record"])
        let began = ContinuousClock.now
        await first.stop()
        // The driver goes on, and everything that its successor needs is there.
        #expect(end(of: driver) == nil)
        #expect(devices.count == 4)
        // Those who watch are told nothing but that the connection is over.
        while let (reply, descriptors) = try await client.receive() {
            for descriptor in descriptors { close(descriptor) }
            #expect(reply.parameters["event"] != "ended")
        }
        let stopped = ContinuousClock.now
        let source = FakeSource()
        let second = try await bench(source, inherits: true)
        let again = try await watch(second, ["transfers": true])
        print("stopped in \(began.duration(to: stopped)), the stream is on again after \(stopped.duration(to: .now)) more")
        #expect(again.ring == ring)
        #expect(again.reply["generation"] == 2)
        #expect(source.opens == 0)
        #expect(source.takeovers == 1)
        // It was ended when the next one was ready.
        #expect(end(of: driver) == SIGKILL)
        let state = try #require(try await second.status().first)
        #expect(state.id == "1234:5678:S1")
        #expect(state.restarts == 1)
        // The source tells of it by and by: it is the same one.
        let listener = try await second.listener()
        source.plug(makeDevice())
        source.plug(makeDevice(path: "1-2", serial: "S2"))
        _ = try await listener.event("running")
        #expect(try await second.status().map(\.restarts) == [1, 0])
        #expect(try await second.status().first?.streams.first?.clients == 1)
        let pids = try await second.status().compactMap(\.pid)
        #expect(store.names.filter { $0.hasPrefix("process-") } == pids.map { "process-\($0)" }.sorted())
        // And a third supervisor gets it from the second.
        await second.stop()
        let third = try await bench(inherits: true)
        let last = try await watch(third, ["transfers": true])
        #expect(last.ring == ring)
        #expect(last.reply["generation"] == 3)
        #expect(end(of: pids[0]) == SIGKILL)
        last.client.socket.shutdown()
        try await wait { devices.isEmpty }
        await third.stop()
    }

    /// Between two rings the supervisor ends: before the driver has gone over, and after.
    @Test(arguments: ["moves-never", "moves-alone"]) func areFoundInWhicheverRingTheyAre(way: String) async throws {
        let first = try await bench(behaviour: "moving")
        try await first.drive()
        let stayer = try await HeldRing(first, ["transfers": true, "format": .string(way)])
        try await wait { devices.count == 4 }
        let guest = try await HeldRing(first, [:])
        #expect(try await stayer.next().inode == guest.inode)
        try await wait { devices.count == 5 }
        await first.stop()
        if way == "moves-alone" { try await wait { stayer.reader.end != nil } }
        let second = try await bench(behaviour: "moving", inherits: true)
        // Both come back, and neither has left: they get what they had.
        let again = try await HeldRing(second, ["transfers": true, "format": .string(way)])
        if way == "moves-alone" {
            #expect(again.inode == guest.inode)
            let last = guest.reader.newestSequence
            try await wait { guest.reader.newestSequence > last }
        } else {
            #expect(again.inode == stayer.inode)
            #expect(try await again.next().inode == guest.inode)
            let last = stayer.reader.newestSequence
            try await wait { stayer.reader.newestSequence > last }
        }
        // Each number once, in one ring or the other.
        if let end = stayer.reader.end {
            #expect(stayer.reader.newestSequence == end)
            #expect(try #require(guest.oldest) > end)
        }
        await second.stop()
    }

    /// The one before can't be asked for anything any more.
    @Test func areTakenFromADriverThatStandsStill() async throws {
        let first = try await bench()
        try await first.drive()
        let (client, _, ring) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        let driver = try #require(try await first.status().first?.pid)
        await first.stop()
        client.socket.shutdown()
        #expect(kill(driver, SIGSTOP) == 0)
        let second = try await bench(inherits: true)
        #expect(try await watch(second, ["transfers": true]).ring == ring)
        #expect(end(of: driver) == SIGKILL)
        await second.stop()
    }

    /// The old driver has the device until the new one asks for the transfers; one that would touch the device at once gets it when the old one has ended.
    @Test(arguments: [("good", nil), ("hasty", SIGKILL)]) func areDrivenWhileTheNextDriverPrepares(behaviour: String, end: Int32?)
        async throws
    {
        let first = try await bench(behaviour: behaviour)
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true, "stalls": true])
        try await wait { devices.count == 4 }
        let driver = try #require(try await first.status().first?.pid)
        await first.stop()
        client.socket.shutdown()
        let second = try await bench(behaviour: behaviour, inherits: true)
        try await wait { try await second.status().first?.drivenSince != nil }
        #expect(self.end(of: driver) == end)
        #expect(store.names.filter { $0.hasPrefix("process-") }.count == (end == nil ? 2 : 1))
        await second.stop()
        // Nobody had taken its place: it would go on for the third.
        if end == nil {
            #expect(self.end(of: driver) == nil)
            #expect(kill(driver, SIGKILL) == 0 && waitpid(driver, nil, 0) == driver)
        }
    }

    /// No orphan holds a device for long.
    @Test func endWhenNoSupervisorFollows() async throws {
        let first = try await bench(afterlife: .seconds(4))
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        let driver = try #require(try await first.status().first?.pid)
        await first.stop()
        client.socket.shutdown()
        var status: Int32?
        try await wait {
            status = end(of: driver)
            return status != nil
        }
        #expect(status == SIGALRM)
        // What is left is gone on with all the same.
        let second = try await bench(inherits: true)
        #expect(try await watch(second, ["transfers": true]).reply["generation"] == 2)
        await second.stop()
    }

    /// A driver ends with its supervisor when nothing of it is in the store, and again when nothing is in there any more.
    @Test func surviveItOnlyWhileTheyAreKept() async throws {
        let first = try await bench()
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        client.socket.shutdown()
        try await wait { devices.isEmpty }
        let driver = try #require(try await first.status().first?.pid)
        // An answer of the driver's comes after it has been told.
        _ = try await first.client().call("io.userdriver.camera.GetControl", ["name": "echo"])
        await first.stop()
        #expect(!exists(driver))
        #expect(store.names == ["process-\(driver)"])
    }

    /// A driver that no state speaks of must not live on beside those of the next supervisor.
    @Test func ofNobodyAreEnded() async throws {
        let sleeper = try #require(realpath("/bin/sleep", nil))
        defer { free(sleeper) }
        let child = try ChildProcess(
            path: String(cString: sleeper), ChildProcess.Plan(arguments: ["sleep", "1000"], descriptors: [nil, nil, nil]))
        _ = store.keep(child.descriptor, as: "process-\(child.processID)")
        let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(null) }
        _ = store.keep(null, as: "process-99")
        let bench = try await bench(inherits: true)
        try await wait { store.names.isEmpty }
        #expect(try child.collect() == .signaled(SIGKILL, dumped: false))
        await bench.stop()
    }

    @Test func areClosedWhenNobodyComesBack() async throws {
        let first = try await bench()
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        await first.stop()
        client.socket.shutdown()
        let second = try await bench(inherits: true, returnLimit: .milliseconds(200))
        try await wait { devices.isEmpty }
        #expect(try await second.status().first?.streams.isEmpty == true)
        await second.stop()
    }

    @Test func ofADeviceThatHasGoneAreLetGo() async throws {
        let first = try await bench()
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        await first.stop()
        client.socket.shutdown()
        let source = FakeSource()
        source.disown()
        let second = try await bench(source, inherits: true)
        #expect(devices.isEmpty)
        try await wait { store.names.isEmpty }
        #expect(try await second.status().isEmpty)
        await second.stop()
    }

    @Test func unpluggingEmptiesTheStore() async throws {
        let first = try await bench()
        try await first.drive()
        let (client, _, _) = try await watch(first, ["transfers": true])
        try await wait { devices.count == 4 }
        first.source.unplug("1-1")
        try await wait { store.names.isEmpty }
        client.socket.shutdown()
        await first.stop()
    }

    /// Names that are right, descriptors that are not.
    @Test func whatWasPutUnderTheirNamesIsNotBelieved() async throws {
        let rings = FakeStore()
        let state = try StateMemory()
        #expect(state.write(try JSON.encode(StoredDeviceTests.device)))
        let small = clinux_memfd("small", 0)
        defer { close(small) }
        let attempts = [[small], [state.descriptor], [state.descriptor, small], [state.descriptor, small, small, small]]
        for (slot, descriptors) in attempts.enumerated() {
            for (number, descriptor) in descriptors.enumerated() {
                _ = rings.keep(descriptor, as: number == 0 ? "device-\(slot)-state" : "device-\(slot)-\(number)")
            }
        }
        _ = rings.keep(small, as: "device-5-9")
        _ = rings.keep(small, as: "driver-" + String(repeating: "00", count: 32))
        let source = FakeSource()
        let bench = try await Bench("good", in: folder, source: source) { configuration in
            configuration.store = rings
            configuration.inherited = rings.handOver() + [StoredDescriptor(name: "something else", descriptor: clinux_duplicate(small))]
        }
        #expect(rings.names.isEmpty)
        try await bench.drive()
        #expect(source.opens == 1)
        await bench.stop()
    }

    @Test func aFullStoreCostsTheStreamItsAfterlifeOnly() async throws {
        let full = FakeStore(limit: 2)
        let source = FakeSource()
        source.keepDevices()
        let bench = try await Bench("good", in: folder, source: source) {
            $0.store = full
            $0.timing.callLimit = .seconds(200)
        }
        try await bench.drive()
        let (client, reply, _) = try await watch(bench, ["transfers": true])
        #expect(reply["event"] == "opened")
        // The client hears of it before the store does: an answer comes after both.
        _ = try await bench.status()
        #expect(full.names.allSatisfy { $0.hasPrefix("process-") })
        client.socket.shutdown()
        await bench.stop()
    }
}
