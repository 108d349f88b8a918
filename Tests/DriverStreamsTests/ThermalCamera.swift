// A second class of devices for the stream engine: a thermal camera that sends each picture as bulk
// transfers, the last of them short.

import CLinux
import FrameRing
import Synchronization
import Testing
import TransferRing
import USB
import UserDriver
import Wire

@testable import DriverStreams

struct ThermalRequest: StreamRequesting {
    var palette: String?

    init(_ value: JSONValue) throws(CallError) { palette = value["palette"]?.stringValue }
    func allows(_ stream: ThermalRequest) -> Bool { palette == nil || palette == stream.palette }
    var text: String { palette ?? "any palette" }
}

/// A picture ends with a short transfer.
struct ThermalAssembler: FrameAssembler {
    struct State: BitwiseCopyable {
        var captured: UInt64 = 0
        var missed: UInt64 = 0
        var length: UInt32 = 0
        var isDamaged: UInt32 = 0
        /// 1: the transfer in hand has been taken already, and its frame returned.
        var isDone: UInt32 = 0
    }
    var state = State()

    var frameLength: Int { Int(state.length) }
    var missedFrames: UInt64 { state.missed }
    mutating func dataLost() { state.isDamaged = 1 }

    mutating func take(
        _ transfer: TransferRing.Transfer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> StreamFrame? {
        guard state.isDone == 0 else {
            state.isDone = 0
            return nil
        }
        let length = min(Int(state.length), slot.count)
        if length == 0 { state.captured = time }
        let count = min(transfer.bytes.count, slot.count - length)
        UnsafeMutableRawBufferPointer(rebasing: slot[length...]).copyBytes(from: transfer.bytes.prefix(count))
        state.length = UInt32(length + count)
        guard transfer.bytes.count < transfer.requested else { return nil }
        let flags: FrameFlags = state.isDamaged == 0 ? [] : [.damaged, .lostPackets]
        defer { state = State(missed: state.missed, isDone: 1) }
        return StreamFrame(length: length + count, captured: state.captured, flags: flags)
    }
}

/// Plays such a camera's transfers to whoever has the ring, and survives them. A process that asks
/// for more than it is to get dies: nothing that was in flight is taken back.
final class ThermalCarrier: RingCarrier {
    private struct State {
        var inFlight: [Int] = []
        var sent = 0
        /// Transfers that the process of the moment still sees.
        var credit = 0
        var isEnding = false
    }
    private let state = Mutex(State())
    static let requested = 16 << 10
    static let frameLength = requested + 3_000

    func give(_ transfers: Int) { state.withLock { $0.credit += transfers } }

    /// The bytes of a picture.
    static func picture(_ number: Int) -> [UInt8] { (0..<frameLength).map { UInt8(truncatingIfNeeded: number &* 31 &+ $0 &* 7) } }

    func submit(_ record: RingRecord) throws(USBError) {
        state.withLock { $0.inFlight.append(record.index) }
        record.markInFlight()
    }
    func adopt(_ record: RingRecord) {}

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        let next = state.withLock { state -> (index: Int, number: Int)? in
            guard state.credit > 0, !state.inFlight.isEmpty else { return nil }
            state.credit -= 1
            defer { state.sent += 1 }
            return (state.inFlight.removeFirst(), state.sent)
        }
        guard let next else { throw USBError(.cancelled, operation: "dying") }
        let picture = Self.picture(next.number / 2)
        let bytes = next.number % 2 == 0 ? picture.prefix(Self.requested) : picture.dropFirst(Self.requested)
        let record = RingRecord(mapping, index: next.index)
        record.buffer.copyBytes(from: bytes)
        record.complete(status: 0, actualLength: bytes.count, at: UInt64(next.number / 2 + 1) * 33_000_000)
        return .progress
    }

    func cancelAll(_ mapping: TransferRingMapping) {}
}

/// Completes empty transfers when it is told to, as one that tells the bus's frame numbers or not.
final class LateCarrier: RingCarrier {
    private let inFlight = Mutex<[Int]>([])
    private let framesOfTransfer: UInt32?

    init(framesOfTransfer: UInt32?) { self.framesOfTransfer = framesOfTransfer }

    func submit(_ record: RingRecord) throws(USBError) {
        record.markInFlight()
        inFlight.withLock { $0.append(record.index) }
    }
    func adopt(_ record: RingRecord) {}

    func complete(_ count: Int, _ mapping: TransferRingMapping) {
        for _ in 0..<count {
            let record = RingRecord(mapping, index: inFlight.withLock { $0.removeFirst() })
            record.complete(
                status: 0, actualLength: 0, startFrame: framesOfTransfer.map { UInt32(truncatingIfNeeded: record.number) &* $0 },
                at: clinux_monotonic_ns())
        }
    }

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent { .timedOut }
    func cancelAll(_ mapping: TransferRingMapping) {}
}
