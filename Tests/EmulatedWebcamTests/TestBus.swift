// A host that does what it wants with an emulated camera, in made-up time.

import Pictures
import Threads
import USB
import USBEmulation

@testable import EmulatedWebcam

/// What a camera told its engine.
final class RecordedSignal: EmulationSignal {
    private let events = Monitored<[String]>([])
    func ready(endpoint: EndpointAddress) { events.change { $0.append("ready \(endpoint)") } }
    func flush(endpoint: EndpointAddress) { events.change { $0.append("flush \(endpoint)") } }
    func unplug() { events.change { $0.append("unplug") } }
    func plug() { events.change { $0.append("plug") } }
    var all: [String] { events.withLock { $0 } }
    /// Waits until the camera has said something so often.
    func wait(for event: String, times: Int) {
        let _: Void? = events.wait { $0.filter { $0 == event }.count >= times ? () : nil }
    }
}

/// One isochronous packet that came.
struct Packet {
    var time: UInt64
    var bytes: [UInt8]
    var frameID: Bool { bytes[1] & 0x01 != 0 }
    var isEnd: Bool { bytes[1] & 0x02 != 0 }
    var isError: Bool { bytes[1] & 0x40 != 0 }
    var data: ArraySlice<UInt8> { bytes[12...] }
}

final class TestBus {
    static let interfaceIn: UInt8 = 0xa1
    static let interfaceOut: UInt8 = 0x21
    static let slot: UInt64 = 125_000
    static let millisecond: UInt64 = 1_000_000

    let webcam: EmulatedWebcam
    let signal = RecordedSignal()
    var now: UInt64 = 1_000_000_000_000
    private let packetMemory = UnsafeMutableRawBufferPointer.allocate(byteCount: 3072, alignment: 64)

    init(_ change: (inout EmulatedWebcamOptions) -> Void = { _ in }) throws {
        var options = EmulatedWebcamOptions()
        options.drawsAhead = false
        change(&options)
        webcam = try EmulatedWebcam(options: options)
        webcam.wallClockOffset = 0
        webcam.attached(now: now, signal: signal)
        for interface: UInt8 in 0...1 { webcam.alternateSettingChanged(interface: interface, to: 0, now: now) }
    }

    deinit {
        webcam.detached()
        packetMemory.deallocate()
    }

    // MARK: Requests

    /// `nil` for a stall.
    func get(_ request: UInt8, selector: UInt8, entity: UInt8 = 0, interface: UInt8 = 0, length: Int = 64) -> [UInt8]? {
        let setup = ControlSetup(
            requestType: Self.interfaceIn, request: request, value: UInt16(selector) << 8, index: UInt16(entity) << 8 | UInt16(interface),
            length: UInt16(length))
        guard case .data(let bytes) = webcam.control(setup, data: [], now: now) else { return nil }
        return Array(bytes.prefix(length))
    }

    /// False for a stall.
    @discardableResult
    func set(selector: UInt8, entity: UInt8 = 0, interface: UInt8 = 0, _ data: [UInt8]) -> Bool {
        let setup = ControlSetup(
            requestType: Self.interfaceOut, request: 0x01, value: UInt16(selector) << 8, index: UInt16(entity) << 8 | UInt16(interface),
            length: UInt16(data.count))
        guard case .data = webcam.control(setup, data: data, now: now) else { return false }
        return true
    }

    func set(_ control: WebcamControl, _ values: Int...) -> Bool {
        let definition = control.definition
        let data = zip(definition.fields, values).flatMap { $0.encoded($1) }
        return set(selector: definition.selector, entity: definition.entity, data)
    }

    /// The error code of the request before (§4.2.1.2).
    var errorCode: UInt8? { self.get(0x81, selector: 0x02)?.first }

    // MARK: Streams

    static func probeBlock(format: UInt8, frame: UInt8, interval: UInt32, quality: UInt16 = 0, length: Int = 34) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: length)
        block[0] = 1  // bmHint: dwFrameInterval is fixed
        block[2] = format
        block[3] = frame
        for byte in 0..<4 { block[4 + byte] = UInt8(interval >> UInt32(8 * byte) & 0xff) }
        block[12] = UInt8(quality & 0xff)
        block[13] = UInt8(quality >> 8)
        return block
    }

    static func number(_ bytes: [UInt8], _ offset: Int, _ size: Int) -> Int {
        (0..<size).reduce(0) { $0 | Int(bytes[offset + $1]) << ($1 * 8) }
    }

    /// Negotiates, and starts streaming: the smallest alternate setting that suits, or COMMIT alone.
    func start(format: UInt8 = 1, frame: UInt8 = 1, interval: UInt32 = 333_333) {
        set(selector: 0x01, interface: 1, Self.probeBlock(format: format, frame: frame, interval: interval))
        guard let answer = get(0x81, selector: 0x01, interface: 1) else { return }
        set(selector: 0x02, interface: 1, answer)
        guard webcam.options.variant == .isochronous else { return }
        let payload = Self.number(answer, 22, 4)
        let setting = (AlternateSettings.ladder.firstIndex { AlternateSettings.bytes($0) >= payload } ?? 0) + 1
        webcam.alternateSettingChanged(interface: 1, to: UInt8(setting), now: now)
    }

    /// Fetches every slot up to a time from now. Empty packets are left out.
    func packets(for duration: UInt64) -> [Packet] {
        var packets: [Packet] = []
        let end = now + duration
        while now < end {
            let count = webcam.isochronousIn(endpoint: WebcamInterface.streamingEndpoint, time: now, into: packetMemory)
            if count > 0 { packets.append(Packet(time: now, bytes: Array(packetMemory[..<count]))) }
            now += Self.slot
        }
        return packets
    }

    /// Frames from packets, by the frame identifier and the end bit, errors and all.
    static func frames(_ packets: [Packet]) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var current: [UInt8] = []
        var frameID: Bool?
        for packet in packets {
            if let frameID, packet.frameID != frameID, !current.isEmpty {
                frames.append(current)
                current = []
            }
            frameID = packet.frameID
            current += packet.data
            if packet.isEnd {
                frames.append(current)
                current = []
            }
        }
        if !current.isEmpty { frames.append(current) }
        return frames
    }

    /// Reads the bulk endpoint until a time from now, with transfers of a size; a transfer ends as USB has it.
    func transfers(for duration: UInt64, size: Int) -> [(time: UInt64, bytes: [UInt8])] {
        var transfers: [(UInt64, [UInt8])] = []
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { memory.deallocate() }
        let end = now + duration
        var filled = 0
        while now < end {
            let rest = UnsafeMutableRawBufferPointer(rebasing: memory[filled...])
            switch webcam.dataIn(endpoint: WebcamInterface.streamingEndpoint, now: now, into: rest) {
            case .data(let count, let ends):
                filled += count
                if ends || filled == size || count % 512 != 0 {
                    transfers.append((now, Array(memory[..<filled])))
                    filled = 0
                }
            case .later(let time): now = min(max(time ?? end, now + 1), end)
            case .lent, .stall: return transfers
            }
        }
        return transfers
    }
}

func stamp(_ frame: [UInt8], _ format: String = "mjpeg") -> FrameStamp.Reading {
    frame.withUnsafeBytes { FrameStamp.read(format: format, bytes: $0) }
}

func wholeNumber(_ frame: [UInt8], _ format: String = "mjpeg") -> UInt64? {
    guard case .whole(let stamp) = stamp(frame, format) else { return nil }
    return stamp.number
}
