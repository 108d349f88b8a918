// What a node says by itself: which controls have changed, and its button.

import FakeDaemon
import Testing
import USB
import USBIPHost
import UVC
import UserDriverClient
import Wire

@testable import VideoNode

@Suite(.timeLimit(.minutes(2))) struct StatusTests {
    private static var buttonFacts: NodeFacts {
        var facts = FakeCamera.facts
        facts.hasButton = true
        return facts
    }

    private static func changed(_ name: String?, _ now: Int?, attribute: Int = 0) -> CameraEvent {
        .controlChanged(CameraControlChange(name: name, now: now, attribute: attribute))
    }

    private static func button(_ isPressed: Bool) -> CameraEvent { .button(CameraButton(interface: 1, pressed: isPressed)) }

    /// A node whose host asks.
    private func heard(_ facts: NodeFacts = Self.buttonFacts) async throws -> (bench: NodeBench, reader: StatusReader) {
        let bench = try NodeBench(facts: facts)
        try await bench.configure()
        let reader = try StatusReader(bench)
        await until { bench.node.isHeard }
        return (bench, reader)
    }

    @Test func theButtonIsAPacketOfTheStreamingInterface() async throws {
        let (bench, reader) = try await heard()
        bench.node.heard(Self.button(true))
        bench.node.heard(Self.button(false))
        // bStatusType: a streaming interface; bOriginator: its number; bEvent: button press; bValue.
        #expect(try reader.packet() == [2, 1, 0, 1])
        #expect(try reader.packet() == [2, 1, 0, 0])
    }

    @Test func aChangedControlIsAPacketOfItsUnit() async throws {
        let (bench, reader) = try await heard()
        bench.node.heard(Self.changed("brightness", -16))
        // bStatusType: control; bOriginator: the processing unit; bEvent: control change; bSelector; bAttribute: value; bValue.
        #expect(try reader.packet() == [1, 2, 0, 0x02, 0, 0xf0, 0xff])
        bench.node.heard(Self.changed("tilt_absolute", 3600))
        // Pan and tilt are one control: pan as it is.
        #expect(try reader.packet() == [1, 1, 0, 0x0d, 0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0])
        let packet = try #require(StatusEvent([1, 2, 0, 0x02, 0, 0xf0, 0xff]))
        #expect(packet.bytes == [1, 2, 0, 0x02, 0, 0xf0, 0xff])
    }

    @Test func theShutterIsSeen() async throws {
        var facts = Self.buttonFacts
        facts.controls = NodeControls([
            CameraControl(
                name: "privacy", description: "Privacy", type: "boolean", minimum: 0, maximum: 1, step: 1, default: 0, value: 0,
                writable: false)
        ])
        let (bench, reader) = try await heard(facts)
        // GET, and changes by itself; no SET.
        #expect(try await bench.get(.getInfo, 0x11, entity: NodeEntity.camera, length: 1) == [0x09])
        await #expect(throws: USBError.self) { try await bench.set(0x11, entity: NodeEntity.camera, [1]) }
        bench.node.heard(Self.changed("privacy", 1))
        #expect(try reader.packet() == [1, 1, 0, 0x11, 0, 1])
        bench.node.heard(Self.changed("privacy", 0))
        #expect(try reader.packet() == [1, 1, 0, 0x11, 0, 0])
    }

    /// Whoever sets a control knows of it; whoever else sets it is news.
    @Test func whatTheHostSetItselfIsNoNews() async throws {
        let (bench, reader) = try await heard()
        try await bench.set(0x02, entity: NodeEntity.processing, [20, 0])
        bench.node.heard(Self.changed("brightness", 20))
        bench.node.heard(Self.changed("brightness", 22))
        #expect(try reader.packet() == [1, 2, 0, 0x02, 0, 22, 0])
        // What was refused was not set.
        bench.behaviour.withLock { _ = $0.held.insert("brightness") }
        await #expect(throws: USBError.self) { try await bench.set(0x02, entity: NodeEntity.processing, [2, 0]) }
        bench.node.heard(Self.changed("brightness", 2))
        #expect(try reader.packet() == [1, 2, 0, 0x02, 0, 2, 0])
    }

    /// All values are those that programs see: none is kept by the kernel, since other programs have the camera, too.
    @Test func everyControlChangesByItself() async throws {
        let (bench, _) = try await heard()
        for control in bench.node.facts.controls.controls {
            let info = try await bench.get(.getInfo, control.selector, entity: control.entity, length: 1)
            #expect(info == [0x0b])
        }
    }

    @Test func whatACameraSaysThatMeansNothingIsLeftOut() async throws {
        let (bench, reader) = try await heard(FakeCamera.facts)
        for event in [
            Self.changed(nil, 3), Self.changed("", 3), Self.changed("gain", 1), Self.changed("privacy", 1), Self.changed("brightness", nil),
            Self.changed("brightness", 40, attribute: 1), Self.changed("brightness", 40, attribute: .max), Self.button(true),
        ] { bench.node.heard(event) }
        // Out of all reason, but a value: it is what fits.
        bench.node.heard(Self.changed("brightness", .max))
        #expect(try reader.packet() == [1, 2, 0, 0x02, 0, 0xff, 0x7f])
        bench.node.heard(Self.changed("exposure_time_absolute", .min))
        #expect(try reader.packet() == [1, 1, 0, 0x04, 0, 0, 0, 0, 0])
    }

    @Test func whileNobodyAsksNothingIsKept() async throws {
        let (bench, reader) = try await heard()
        reader.queue.cancelAll()
        await until { !bench.node.isHeard }
        bench.node.heard(Self.button(true))
        bench.node.heard(Self.changed("brightness", 30))
        _ = try reader.queue.next(timeout: .seconds(5))
        try reader.submit()
        await until { bench.node.isHeard }
        bench.node.heard(Self.button(false))
        #expect(try reader.packet() == [2, 1, 0, 0])
        #expect(!bench.node.isStreaming)
    }

    /// A host that stops asking for events goes on streaming, and the other way round.
    @Test func eventsAndPicturesDoNotMeddle() async throws {
        let (bench, events) = try await heard()
        let reader = try HostReader(bench, try await bench.commit("yuy2", 64, 48))
        bench.node.heard(Self.button(true))
        bench.stream.publish(pattern(64 * 48 * 2, 1))
        #expect(try events.packet() == [2, 1, 0, 1])
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 1))
        events.queue.cancelAll()
        await until { !bench.node.isHeard }
        #expect(bench.node.isStreaming)
        bench.stream.publish(pattern(64 * 48 * 2, 2))
        #expect(try #require(try reader.frame()).bytes == pattern(64 * 48 * 2, 2))
    }

    @Test func aHostThatFetchesNothingHasTheNewest() {
        var status = NodeStatus()
        func add(_ event: StatusEvent) -> Bool { status.add(event) }
        func next() -> [UInt8]? { status.next() }
        func control(_ selector: UInt8, _ value: UInt8) -> StatusEvent {
            StatusEvent(.control(entity: 2, selector: selector, attribute: 0, value: [value]))
        }
        #expect(!add(control(1, 1)))
        #expect(next() == nil)
        for value in UInt8(0)...200 { for selector in UInt8(1)...3 { #expect(add(control(selector, value))) } }
        for index in 0..<1001 { #expect(add(StatusEvent(.button(interface: 1, isPressed: index % 2 == 0)))) }
        for selector in UInt8(1)...3 { #expect(next() == [1, 2, 0, selector, 0, 200]) }
        var buttons: [UInt8] = []
        while let packet = next() { buttons.append(packet[3]) }
        // Pressed and released by turns, and pressed in the end.
        #expect(buttons.count <= 8 && buttons.last == 1)
        #expect(zip(buttons, buttons.dropFirst()).allSatisfy { $0 != $1 })
        #expect(add(control(1, 1)))
        status.forget()
        #expect(next() == nil)
    }

    /// The whole way: the daemon tells the server's process, which tells its host.
    @Test func whatTheDaemonTellsReachesTheHost() async throws {
        var server: ServerProcess?
        let bench = try NodeBench(NodeBench.Behaviour(hasButton: true), facts: Self.buttonFacts) { daemon in
            let started = try ServerProcess(daemon)
            server = started
            return try started.attach()
        }
        defer { withExtendedLifetime(server) {} }
        try await bench.configure()
        let reader = try StatusReader(bench)
        // An answered request later, the transfer that was submitted before is known.
        _ = try await bench.get(.getLen, 0x02, entity: NodeEntity.processing, length: 2)
        try bench.say("button", ["interface": 1, "pressed": true])
        #expect(try reader.packet() == [2, 1, 0, 1])
        try bench.say("controlChanged", ["name": "brightness", "now": 20, "attribute": 0, "entity": 9, "selector": 9, "value": [20, 0]])
        #expect(try reader.packet() == [1, 2, 0, 0x02, 0, 20, 0])
    }
}

/// The host's end of the status endpoint.
private final class StatusReader {
    let queue: any TransferQueue

    init(_ bench: NodeBench) throws {
        queue = try bench.host.transferQueue(endpoint: NodeInterface.status, type: .interrupt)
        try submit()
    }

    func submit() throws { try queue.submit(IdleTransfer(buffer: queue.makeBuffer(count: 16))) }

    func packet() throws -> [UInt8]? {
        guard let done = try queue.next(timeout: .seconds(20)), done.status == .completed else { return nil }
        let bytes = Array(done.buffer.bytes.prefix(done.actualLength))
        try queue.submit(done.recycled())
        return bytes
    }
}
