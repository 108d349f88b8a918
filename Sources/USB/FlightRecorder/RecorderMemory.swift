// The owner's side of a flight recorder, and the reader's: memory that a driver writes and that
// survives it.

import CLinux
public import FileDescriptors
import Glibc
public import USB

/// A recorder's memory, owned by the supervisor: one for a device, whatever becomes of its drivers. The mode is 0444, as a frame ring's is.
public final class RecorderMemory: Sendable {
    /// Readable and writable, for the driver; closed when this object goes.
    public var descriptor: Int32 { memory.number }
    private let memory: OwnedDescriptor
    private let reader: RecorderReader

    /// Throws `USBError` `memoryLimit` or `fault`.
    public init() throws(USBError) {
        let made = clinux_memfd("flight-recorder", 0)
        guard let memory = OwnedDescriptor(opened: made) else { throw Self.failure(-made) }
        guard ftruncate(memory.number, off_t(RecorderLayout.byteCount)) == 0, clinux_seal_size(memory.number) == 0,
            fchmod(memory.number, 0o444) == 0
        else { throw Self.failure(errno) }
        reader = try RecorderReader(descriptor: memory.number)
        self.memory = memory
    }

    /// A new descriptor that can only be read and mapped for reading, closed on exec.
    public func readOnlyDescriptor() throws(USBError) -> OwnedDescriptor {
        let opened = OwnedDescriptor(opened: open("/proc/self/fd/\(descriptor)", O_RDONLY | O_CLOEXEC))
        guard let opened else { throw Self.failure(errno) }
        return opened
    }

    /// Everything that is in it: what a report of a death carries.
    public func snapshot() -> RecorderSnapshot { reader.snapshot() }

    static func failure(_ number: Int32) -> USBError {
        USBError(
            number == ENOMEM || number == EMFILE || number == ENFILE ? .memoryLimit : .fault, operation: "flight recorder",
            detail: String(cString: strerror(number)))
    }
}

/// A recorder's memory at one moment.
public struct RecorderSnapshot: Sendable {
    let bytes: [UInt8]

    /// What was recorded, the oldest first. Entries that make no sense are left out.
    public var transfers: [RecordedTransfer] {
        bytes.withUnsafeBytes { memory in
            (0..<RecorderLayout.entryCount).compactMap { RecordedTransfer(at: memory.baseAddress! + RecorderReader.entry($0)) }
        }.sorted { $0.number < $1.number }
    }
}

/// Reads a recorder while a driver writes to it.
public final class RecorderReader: Sendable {
    private nonisolated(unsafe) let memory: UnsafeMutableRawPointer  // read only; unmapped in deinit

    /// Maps it for reading; the descriptor stays the caller's. Throws where it is not a recorder's.
    public init(descriptor: Int32) throws(USBError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size == RecorderLayout.byteCount, clinux_seals(descriptor) & F_SEAL_SHRINK != 0,
            let memory = mmap(nil, RecorderLayout.byteCount, PROT_READ, MAP_SHARED, descriptor, 0), memory != MAP_FAILED
        else { throw USBError(.invalidArgument, operation: "flight recorder", detail: "the descriptor is not a recorder's") }
        self.memory = memory
    }

    deinit { munmap(memory, RecorderLayout.byteCount) }

    static func entry(_ index: Int) -> Int { RecorderLayout.entriesOffset + index * RecorderLayout.entrySize }

    func snapshot() -> RecorderSnapshot {
        RecorderSnapshot(bytes: Array(UnsafeRawBufferPointer(start: memory, count: RecorderLayout.byteCount)))
    }

    /// Transfers recorded so far. A driver may have written anything there.
    public var count: UInt64 { clinux_load_u64(memory + RecorderLayout.count) }

    /// The transfer of that number; `nil` if it is not there: not yet, not any more, or in the making.
    public func transfer(_ number: UInt64) -> RecordedTransfer? {
        let entry = memory + Self.entry(Int(number % UInt64(RecorderLayout.entryCount)))
        guard number != 0, clinux_load_u64(entry) == number else { return nil }
        // Copied first: what is looked at does not change.
        let copy = Array(UnsafeRawBufferPointer(start: entry, count: RecorderLayout.entrySize))
        guard clinux_load_u64(entry) == number else { return nil }
        return copy.withUnsafeBytes { RecordedTransfer(at: $0.baseAddress!) }
    }

    /// How many of the newest transfers are kept.
    public static let capacity = UInt64(RecorderLayout.entryCount)
}

extension RecordedTransfer {
    /// From an entry; `nil` for one that is empty or makes no sense.
    init?(at entry: UnsafeRawPointer) {
        func word32(_ offset: Int) -> UInt32 { entry.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
        func word64(_ offset: Int) -> UInt64 { entry.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
        func byte(_ offset: Int) -> UInt8 { entry.load(fromByteOffset: offset, as: UInt8.self) }
        let number = word64(EntryField.number)
        let (submitted, completed) = (word64(EntryField.submitted), word64(EntryField.completed))
        guard number != 0, let type = TransferType(rawValue: byte(EntryField.type)), submitted != 0 || completed != 0 else { return nil }
        let dataCount = min(Int(byte(EntryField.dataCount)), EntryField.dataLimit)
        let packetCount = type == .isochronous ? min(Int(byte(EntryField.packetCount)), RecorderLayout.packetLimit) : 0
        self.init(
            number: number, generation: word32(EntryField.generation), type: type,
            endpoint: EndpointAddress(rawValue: byte(EntryField.endpoint)), submitted: submitted == 0 ? nil : submitted,
            completed: completed == 0 ? nil : completed,
            setup: type == .control ? (0..<8).map { byte(EntryField.setup + $0) } : [],
            status: Int32(bitPattern: word32(EntryField.status)), requested: Int(word32(EntryField.requested)),
            actual: Int(word32(EntryField.actual)), startFrame: word32(EntryField.startFrame),
            data: (0..<dataCount).map { byte(EntryField.data + $0) },
            packets: (0..<packetCount).map { packet in
                let length = entry.loadUnaligned(fromByteOffset: EntryField.packets + packet * 2, as: UInt16.self)
                return length == RecorderLayout.failedPacket ? nil : Int(length)
            }, failedPackets: Int(word32(EntryField.failedPackets)))
    }
}
