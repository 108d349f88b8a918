// An endpoint with its companions, and how much it moves in one service interval.

/// USB 2.0 §9.6.6, with the SuperSpeed companions that follow it.
public struct EndpointDescriptor: Hashable, Sendable {
    /// `bEndpointAddress`
    public var address: EndpointAddress
    /// `bmAttributes`: bits 1…0 the type, 3…2 synchronisation and 5…4 usage of isochronous endpoints.
    public var attributes: UInt8
    /// `wMaxPacketSize` as it came: bits 10…0 bytes, at high speed bits 12…11 additional transactions a microframe.
    public var maxPacketSizeField: UInt16
    /// `bInterval`: frames for full-speed interrupt endpoints, else the exponent `2^(bInterval-1)` of frames or microframes.
    public var interval: UInt8
    public var superSpeed: SuperSpeedCompanion?
    /// `dwBytesPerInterval` of the SuperSpeedPlus isochronous companion (USB 3.2 §9.6.8).
    public var superSpeedPlusBytesPerInterval: UInt32?
    /// Class-specific and unknown descriptors that follow the endpoint, kept whole.
    public var extra: [RawDescriptor]
    /// Where it starts in what was parsed.
    public var offset: Int

    public static let length = 7

    public init(
        address: EndpointAddress, attributes: UInt8, maxPacketSizeField: UInt16, interval: UInt8, superSpeed: SuperSpeedCompanion? = nil,
        superSpeedPlusBytesPerInterval: UInt32? = nil, extra: [RawDescriptor] = [], offset: Int = 0
    ) {
        self.address = address
        self.attributes = attributes
        self.maxPacketSizeField = maxPacketSizeField
        self.interval = interval
        self.superSpeed = superSpeed
        self.superSpeedPlusBytesPerInterval = superSpeedPlusBytesPerInterval
        self.extra = extra
        self.offset = offset
    }

    /// `nil` unless the descriptor has its seven bytes (audio's has nine).
    public init?(_ descriptor: RawDescriptor) {
        guard let b = descriptor.bytes(at: 0, count: Self.length) else { return nil }
        self.init(
            address: EndpointAddress(rawValue: b[2]), attributes: b[3], maxPacketSizeField: UInt16(b[4]) | UInt16(b[5]) << 8,
            interval: b[6], offset: descriptor.offset)
    }

    public var transferType: TransferType {
        switch attributes & 3 {
        case 0: .control
        case 1: .isochronous
        case 2: .bulk
        default: .interrupt
        }
    }

    /// Bytes of one packet.
    public var maxPacketSize: Int { Int(maxPacketSizeField & 0x07ff) }

    /// Packets a microframe at high speed: 1, 2 or 3. The field's reserved value 3 counts as 3 packets: too much room loses no data.
    public var transactionsPerMicroframe: Int { min(3, 1 + Int(maxPacketSizeField >> 11 & 3)) }

    /// The most that the endpoint moves in one service interval: what an isochronous packet or an interrupt transfer must have room for.
    ///
    /// Full speed: one packet. High speed: up to three (USB 2.0 §9.6.6). SuperSpeed: `wBytesPerInterval` of the companion, and above it
    /// what the SuperSpeedPlus companion says; a companion of 0, which some devices have, gives way to packet size × burst × `Mult`.
    /// For `unknown` the companion tells. For bulk endpoints it is one packet: they have no interval.
    public func bytesPerInterval(speed: USBSpeed) -> Int {
        guard transferType == .isochronous || transferType == .interrupt else { return maxPacketSize }
        switch speed {
        case .low, .full: return maxPacketSize
        case .high, .wireless: return maxPacketSize * transactionsPerMicroframe
        case .unknown where superSpeed == nil: return maxPacketSize * transactionsPerMicroframe
        case .super, .superPlus, .unknown:
            if speed != .super, let bytes = superSpeedPlusBytesPerInterval, bytes > 0 { return Int(bytes) }
            guard let superSpeed else { return maxPacketSize * transactionsPerMicroframe }
            if superSpeed.bytesPerInterval > 0 { return Int(superSpeed.bytesPerInterval) }
            let mult = transferType == .isochronous ? superSpeed.packetsMultiplier : 1
            return maxPacketSize * (min(15, Int(superSpeed.maxBurst)) + 1) * mult
        }
    }

    /// Time between two service opportunities in nanoseconds, `nil` for control and bulk endpoints (USB 2.0 table 9-13).
    /// Exponents are bounded to 1…16.
    public func intervalNanoseconds(speed: USBSpeed) -> UInt64? {
        guard transferType == .isochronous || transferType == .interrupt else { return nil }
        if speed < .high, transferType == .interrupt { return UInt64(max(1, interval)) * speed.slotNanoseconds }
        return speed.slotNanoseconds << UInt64(min(16, max(1, interval)) - 1)
    }
}

/// USB 3.2 §9.6.7; six bytes, behind every endpoint of a SuperSpeed device.
public struct SuperSpeedCompanion: Hashable, Sendable {
    /// `bMaxBurst`: packets in a burst, less one.
    public var maxBurst: UInt8
    /// `bmAttributes`: bulk: bits 4…0 streams as an exponent; isochronous: bits 1…0 `Mult`.
    public var attributes: UInt8
    /// `wBytesPerInterval`: bytes an isochronous or interrupt endpoint moves in a service interval.
    public var bytesPerInterval: UInt16

    public static let length = 6

    public init(maxBurst: UInt8, attributes: UInt8, bytesPerInterval: UInt16) {
        self.maxBurst = maxBurst
        self.attributes = attributes
        self.bytesPerInterval = bytesPerInterval
    }

    /// `nil` unless the descriptor has its six bytes.
    public init?(_ descriptor: RawDescriptor) {
        guard let b = descriptor.bytes(at: 0, count: Self.length) else { return nil }
        self.init(maxBurst: b[2], attributes: b[3], bytesPerInterval: UInt16(b[4]) | UInt16(b[5]) << 8)
    }

    /// `Mult` of an isochronous endpoint plus one: 1…3.
    public var packetsMultiplier: Int { min(2, Int(attributes & 3)) + 1 }
}

extension USBSpeed: Comparable {
    public static func < (a: USBSpeed, b: USBSpeed) -> Bool { a.rawValue < b.rawValue }
}
