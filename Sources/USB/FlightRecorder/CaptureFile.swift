// Recorded transfers as a pcapng file that Wireshark opens: what usbmon would have captured, as far as it was recorded.

import Glibc
import USB

/// Makes the bytes of a capture: pcapng (draft-ietf-opsawg-pcapng) with link type 220, LINKTYPE_USB_LINUX_MMAPPED, in this machine's byte order.
/// A transfer is two packets, its submission and its completion, as usbmon has them (Documentation/usb/usbmon.rst).
public struct CaptureFile: Sendable {
    /// What times are written as: CLOCK_REALTIME less CLOCK_MONOTONIC, nanoseconds.
    private let epoch: Int64
    private let bus: UInt16
    private let device: UInt8

    /// - Parameters:
    ///   - bus: Linux's number of the bus, and `device` that of the device on it: whose transfers they are.
    ///   - epoch: CLOCK_REALTIME less CLOCK_MONOTONIC, nanoseconds.
    public init(bus: UInt32, device: UInt32, epoch: Int64 = CaptureFile.currentEpoch()) {
        self.bus = UInt16(truncatingIfNeeded: bus)
        self.device = UInt8(truncatingIfNeeded: device & 0x7f)
        self.epoch = epoch
    }

    public static func currentEpoch() -> Int64 {
        var (real, monotonic) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &real)
        clock_gettime(CLOCK_MONOTONIC, &monotonic)
        return (Int64(real.tv_sec) - Int64(monotonic.tv_sec)) * 1_000_000_000 + Int64(real.tv_nsec) - Int64(monotonic.tv_nsec)
    }

    // MARK: The file

    /// The file's head: section and interface, and the device's descriptors as the answers to the requests that read them, by which Wireshark
    /// knows what the endpoints are. `time` (CLOCK_MONOTONIC nanoseconds) is that of the first transfer that follows.
    public func head(descriptors: [UInt8], title: String, at time: UInt64) -> [UInt8] {
        var bytes = block(type: 0x0a0d_0d0a) { body in
            body.append(word: UInt32(0x1a2b_3c4d))
            body.append(word: UInt16(1))
            body.append(word: UInt16(0))
            body.append(word: UInt64.max)
            body.append(option: 4, Array("UserDriver".utf8))
        }
        bytes += block(type: 1) { body in
            body.append(word: UInt16(220))
            body.append(word: UInt16(0))
            body.append(word: UInt32(0))
            body.append(option: 2, Array(title.utf8.prefix(200)))
            body.append(option: 9, [9])  // if_tsresol: nanoseconds
        }
        var rest = descriptors[...]
        for (index, kind) in [UInt8(1), 2].enumerated() where !rest.isEmpty {
            let count = min(kind == 1 ? 18 : Self.configurationLength(rest), rest.count)
            let answer = RecordedTransfer(
                number: .max - UInt64(index), type: .control, endpoint: EndpointAddress(rawValue: 0x80), submitted: max(time, 1),
                completed: max(time, 1),
                setup: [0x80, 6, 0, kind, 0, 0, UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8)],
                requested: count, actual: count, data: Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
            for event in Event.all(of: answer) { bytes += packet(event, comment: "Read when the device was plugged in.") }
        }
        return bytes
    }

    /// `wTotalLength`, or all there is.
    private static func configurationLength(_ bytes: ArraySlice<UInt8>) -> Int {
        guard bytes.count >= 4 else { return bytes.count }
        let start = bytes.startIndex
        return max(9, Int(bytes[start + 2]) | Int(bytes[start + 3]) << 8)
    }

    /// A packet of the file.
    public func packet(_ event: Event, comment: String? = nil) -> [UInt8] {
        let (header, data) = (header(event), event.data)
        let time = UInt64(bitPattern: Int64(bitPattern: event.time) &+ epoch)
        let original = header.count + event.originalLength
        return block(type: 6) { body in
            body.append(word: UInt32(0))
            body.append(word: UInt32(truncatingIfNeeded: time >> 32))
            body.append(word: UInt32(truncatingIfNeeded: time))
            body.append(word: UInt32(header.count + data.count))
            body.append(word: UInt32(clamping: original))
            body.append(padded: header + data)
            if let comment { body.append(option: 1, Array(comment.utf8)) }
        }
    }

    /// A whole file.
    public func file(_ transfers: [RecordedTransfer], descriptors: [UInt8], title: String) -> [UInt8] {
        let events = transfers.flatMap(Event.all).sorted { ($0.time, $0.transfer.number) < ($1.time, $1.transfer.number) }
        return head(descriptors: descriptors, title: title, at: events.first?.time ?? 1) + events.flatMap { packet($0) }
    }

    /// A transfer's submission or completion.
    public struct Event: Sendable {
        public enum Kind: UInt8, Sendable {
            case submission = 0x53
            case completion = 0x43
        }
        public let kind: Kind
        public let transfer: RecordedTransfer
        public var time: UInt64 { (kind == .submission ? transfer.submitted : transfer.completed) ?? 0 }

        public init(_ kind: Kind, of transfer: RecordedTransfer) {
            self.kind = kind
            self.transfer = transfer
        }

        /// What there is of a transfer.
        public static func all(of transfer: RecordedTransfer) -> [Event] {
            var events: [Event] = []
            if transfer.submitted != nil { events.append(Event(.submission, of: transfer)) }
            if transfer.completed != nil { events.append(Event(.completion, of: transfer)) }
            return events
        }

        /// Whether data goes with it: to the device when it is submitted, from the device when it has completed.
        fileprivate var carriesData: Bool { isIn == (kind == .completion) }
        private var isIn: Bool {
            transfer.type == .control ? (transfer.setup.first ?? 0) & 0x80 != 0 : transfer.endpoint.rawValue & 0x80 != 0
        }

        /// Isochronous packets' descriptors (16 bytes each), then the bytes.
        fileprivate var data: [UInt8] {
            guard carriesData else { return [] }
            return packets.flatMap { packet in
                var bytes: [UInt8] = []
                bytes.append(word: packet.status)
                bytes.append(word: UInt32(packet.offset))
                bytes.append(word: UInt32(packet.length))
                bytes.append(word: UInt32(0))
                return bytes
            } + transfer.data.prefix(moved)
        }

        /// Bytes that were moved, or are to be.
        private var moved: Int { kind == .submission ? transfer.requested : transfer.actual }

        fileprivate var originalLength: Int { carriesData ? packets.count * 16 + moved : 0 }

        /// The described packets, each in the place that it has in the buffer.
        fileprivate var packets: [(status: Int32, offset: Int, length: Int)] {
            guard transfer.type == .isochronous, kind == .completion else { return [] }
            var offset = 0
            return transfer.packets.map { length in
                defer { offset += length ?? 0 }
                return (length == nil ? -71 : 0, offset, length ?? 0)
            }
        }

        fileprivate var endpoint: UInt8 {
            transfer.type == .control ? (isIn ? 0x80 : 0) : transfer.endpoint.rawValue
        }
        fileprivate var hasSetup: Bool { transfer.type == .control && kind == .submission }
        /// 0 with data, else in which direction it would have gone.
        fileprivate var dataFlag: UInt8 { carriesData ? 0 : isIn ? UInt8(ascii: "<") : UInt8(ascii: ">") }
        fileprivate var length: Int { moved }
    }

    /// `struct mon_bin_hdr`, 64 bytes.
    private func header(_ event: Event) -> [UInt8] {
        let transfer = event.transfer
        let time = Int64(bitPattern: event.time) &+ epoch
        var bytes: [UInt8] = []
        bytes.append(word: transfer.number)
        // usbmon counts types otherwise: 0 isochronous, 1 interrupt, 2 control, 3 bulk.
        let type: UInt8 =
            switch transfer.type {
            case .isochronous: 0
            case .interrupt: 1
            case .control: 2
            case .bulk: 3
            }
        bytes += [event.kind.rawValue, type, event.endpoint, device]
        bytes.append(word: bus)
        bytes += [event.hasSetup ? 0 : UInt8(ascii: "-"), event.dataFlag]
        bytes.append(word: time / 1_000_000_000)
        bytes.append(word: Int32(truncatingIfNeeded: time % 1_000_000_000 / 1000))
        bytes.append(word: event.kind == .submission ? Int32(-115) : transfer.status)  // -EINPROGRESS
        bytes.append(word: UInt32(clamping: event.length))
        bytes.append(word: UInt32(event.data.count))
        if transfer.type == .isochronous {
            bytes.append(word: Int32(clamping: event.kind == .completion ? transfer.failedPackets : 0))
            bytes.append(word: Int32(event.packets.count))
        } else {
            bytes += event.hasSetup && transfer.setup.count == 8 ? transfer.setup : [UInt8](repeating: 0, count: 8)
        }
        bytes.append(word: Int32(0))
        bytes.append(word: Int32(bitPattern: transfer.type == .isochronous ? transfer.startFrame : 0))
        bytes.append(word: UInt32(0))
        bytes.append(word: Int32(event.packets.count))
        return bytes
    }

    // MARK: Blocks

    private func block(type: UInt32, _ fill: (inout [UInt8]) -> Void) -> [UInt8] {
        var body: [UInt8] = []
        fill(&body)
        let length = UInt32(body.count + 12)
        var bytes: [UInt8] = []
        bytes.append(word: type)
        bytes.append(word: length)
        bytes += body
        bytes.append(word: length)
        return bytes
    }
}

extension [UInt8] {
    /// In this machine's byte order.
    fileprivate mutating func append(word: some FixedWidthInteger) { Swift.withUnsafeBytes(of: word) { append(contentsOf: $0) } }

    /// Up to a multiple of four bytes.
    fileprivate mutating func append(padded bytes: [UInt8]) {
        self += bytes
        self += [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
    }

    /// An option of pcapng, and the end of options after it is the caller's by the block's length.
    fileprivate mutating func append(option code: UInt16, _ value: [UInt8]) {
        append(word: code)
        append(word: UInt16(value.count))
        append(padded: value)
    }
}
