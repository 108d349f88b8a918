// The driver's side of a flight recorder: a few stores for each transfer.

import CLinux
import Glibc
public import USB

/// Notes a device's transfers, from any thread. A transfer costs two clocks and some 200 bytes of stores.
public final class FlightRecorder: Sendable {
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer  // each entry is one caller's at a time; unmapped in deinit
    private let generation: UInt32

    /// A transfer that was noted when it was submitted.
    public struct Token: Sendable {
        fileprivate var number: UInt64
    }

    /// What came of a transfer.
    public struct Outcome: Sendable {
        public var status: TransferStatus
        /// Bytes that were moved.
        public var actual: Int
        public var startFrame: UInt32

        public init(status: TransferStatus, actual: Int, startFrame: UInt32 = 0) {
            self.status = status
            self.actual = actual
            self.startFrame = startFrame
        }
    }

    /// Maps a `RecorderMemory`'s descriptor, which stays the caller's.
    /// - Parameter generation: which incarnation of the driver writes.
    public init(descriptor: Int32, generation: UInt32) throws(USBError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size == RecorderLayout.byteCount,
            let memory = mmap(nil, RecorderLayout.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED
        else { throw USBError(.invalidArgument, operation: "flight recorder", detail: "the descriptor is not a recorder's") }
        self.memory = memory
        self.generation = generation
    }

    deinit { munmap(memory, RecorderLayout.byteCount) }

    private func entry(_ number: UInt64) -> UnsafeMutableRawPointer {
        memory + RecorderReader.entry(Int(number % UInt64(RecorderLayout.entryCount)))
    }

    /// A transfer is put in flight.
    /// - Parameters:
    ///   - setup: the eight bytes of a control transfer's SETUP stage.
    ///   - data: what is sent; its first 64 bytes are kept.
    ///   - time: when; `nil` for now.
    public func submitted(
        _ type: TransferType, _ endpoint: EndpointAddress, requested: Int, setup: [UInt8] = [], data: UnsafeRawBufferPointer? = nil,
        at time: UInt64? = nil
    ) -> Token {
        let number = begin(type, endpoint, requested: requested)
        let entry = entry(number)
        entry.storeBytes(of: time ?? clinux_monotonic_ns(), toByteOffset: EntryField.submitted, as: UInt64.self)
        for (offset, byte) in setup.prefix(8).enumerated() {
            entry.storeBytes(of: byte, toByteOffset: EntryField.setup + offset, as: UInt8.self)
        }
        keep(data, in: entry)
        clinux_store_u64(entry, number)
        return Token(number: number)
    }

    /// It has ended. If its entry has been reused in the meantime, nothing is noted.
    /// - Parameters:
    ///   - data: what came; its first 64 bytes are kept. `nil` leaves what was sent.
    ///   - packets: an isochronous transfer's; the first 64 are kept.
    public func completed(
        _ token: Token, _ outcome: Outcome, data: UnsafeRawBufferPointer? = nil, packets: IsochronousPackets = IsochronousPackets(),
        at time: UInt64? = nil
    ) {
        let entry = entry(token.number)
        guard clinux_load_u64(entry) == token.number else { return }
        clinux_store_u64(entry, 0)
        complete(entry, outcome, data, packets, time)
        clinux_store_u64(entry, token.number)
    }

    /// One has ended that another incarnation had submitted.
    public func completed(
        _ type: TransferType, _ endpoint: EndpointAddress, requested: Int, _ outcome: Outcome, data: UnsafeRawBufferPointer? = nil,
        packets: IsochronousPackets = IsochronousPackets(), at time: UInt64? = nil
    ) {
        let number = begin(type, endpoint, requested: requested)
        let entry = entry(number)
        complete(entry, outcome, data, packets, time)
        clinux_store_u64(entry, number)
    }

    /// Takes the next entry and empties it.
    private func begin(_ type: TransferType, _ endpoint: EndpointAddress, requested: Int) -> UInt64 {
        let number = clinux_add_u64(memory + RecorderLayout.count, 1)
        let entry = entry(number)
        clinux_store_u64(entry, 0)
        (entry + 8).initializeMemory(as: UInt8.self, repeating: 0, count: RecorderLayout.entrySize - 8)
        entry.storeBytes(of: generation, toByteOffset: EntryField.generation, as: UInt32.self)
        entry.storeBytes(of: type.rawValue, toByteOffset: EntryField.type, as: UInt8.self)
        entry.storeBytes(of: endpoint.rawValue, toByteOffset: EntryField.endpoint, as: UInt8.self)
        entry.storeBytes(of: UInt32(clamping: requested), toByteOffset: EntryField.requested, as: UInt32.self)
        return number
    }

    private func keep(_ data: UnsafeRawBufferPointer?, in entry: UnsafeMutableRawPointer) {
        guard let data else { return }
        let count = min(data.count, EntryField.dataLimit)
        if let start = data.baseAddress { (entry + EntryField.data).copyMemory(from: start, byteCount: count) }
        entry.storeBytes(of: UInt8(count), toByteOffset: EntryField.dataCount, as: UInt8.self)
    }

    private func complete(
        _ entry: UnsafeMutableRawPointer, _ outcome: Outcome, _ data: UnsafeRawBufferPointer?,
        _ packets: IsochronousPackets, _ time: UInt64?
    ) {
        entry.storeBytes(of: time ?? clinux_monotonic_ns(), toByteOffset: EntryField.completed, as: UInt64.self)
        entry.storeBytes(of: outcome.status.linuxStatus, toByteOffset: EntryField.status, as: Int32.self)
        entry.storeBytes(of: UInt32(clamping: outcome.actual), toByteOffset: EntryField.actual, as: UInt32.self)
        entry.storeBytes(of: outcome.startFrame, toByteOffset: EntryField.startFrame, as: UInt32.self)
        keep(data, in: entry)
        guard !packets.isEmpty else { return }
        var failed: UInt32 = 0
        let kept = min(packets.count, RecorderLayout.packetLimit)
        let lengths = entry + EntryField.packets
        for index in Self.noteWhole(packets, kept, at: lengths)..<packets.count {
            let packet = packets[index]
            var told = RecorderLayout.failedPacket
            if case .completed = packet.status {
                told = UInt16(truncatingIfNeeded: min(packet.actualLength, Int(UInt16.max)))
            } else {
                failed += 1
            }
            if index < kept { lengths.storeBytes(of: told, toByteOffset: index &* 2, as: UInt16.self) }
        }
        entry.storeBytes(of: UInt8(kept), toByteOffset: EntryField.packetCount, as: UInt8.self)
        entry.storeBytes(of: UInt32(clamping: packets.count), toByteOffset: EntryField.totalPackets, as: UInt32.self)
        entry.storeBytes(of: failed, toByteOffset: EntryField.failedPackets, as: UInt32.self)
    }

    /// Nearly every transfer: notes the lengths of whole packets, up to the first that is something
    /// else, whose index it returns.
    @inline(__always)
    private static func noteWhole(_ packets: IsochronousPackets, _ kept: Int, at lengths: UnsafeMutableRawPointer) -> Int {
        // Within: there are as many descriptions as packets, and room for as many lengths as are kept.
        guard var description = packets.base else { return 0 }
        let room = min(packets.packetLength, Int(UInt16.max) - 1)
        var place = lengths
        let end = lengths + kept &* 2
        while place < end {
            let length = IsochronousPackets.wholeLength(description, room: room)
            guard length >= 0 else { break }
            place.storeBytes(of: UInt16(truncatingIfNeeded: length), as: UInt16.self)
            place += 2
            description += IsochronousPackets.descriptionLength
        }
        return (place - lengths) / 2
    }
}
