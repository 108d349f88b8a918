// Who carries a ring's transfers: the kernel through usbfs, or the process that owns a USB/IP socket.

public import USB

/// The way from a ring to its endpoint. Used from one thread, but for `cancelAll`.
public protocol RingCarrier: AnyObject, Sendable {
    /// The ring that it carries, before anything else is asked of it.
    func join(_ mapping: TransferRingMapping)
    /// Puts a record, which is `isUncertain`, in flight.
    func submit(_ record: RingRecord) throws(USBError)
    /// A record that a predecessor left uncertain or in flight: marks it completed where it has been.
    func adopt(_ record: RingRecord)
    /// Finds out what became of an OUT transfer that is uncertain after `adopt`, for up to
    /// `patience` and some more where it has to be ended.
    func decide(_ record: RingRecord, _ mapping: TransferRingMapping, patience: Duration) throws(USBError) -> RecordFate
    /// Waits until a record may have completed.
    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent
    /// Where a transfer's bytes are, of one that has completed and whose `place` is not the ring.
    /// `nil` if nobody has them any more.
    func buffer(of record: RingRecord) -> UnsafeMutableRawBufferPointer?
    /// Nothing is in flight any more, and no bytes are looked at again.
    func finish(_ mapping: TransferRingMapping)
    /// Takes back all that has completed by now, unless the last one had to be waited for. For
    /// whoever is late, and asks whether anything is in flight still.
    func collect(_ mapping: TransferRingMapping)
    /// Asks for everything in flight to end; each record still completes. From any thread.
    func cancelAll(_ mapping: TransferRingMapping)
}

extension RingCarrier {
    /// Of a carrier that knows each ring by what it is asked.
    public func join(_ mapping: TransferRingMapping) {}

    /// Of a carrier that puts everything into the ring.
    public func buffer(of record: RingRecord) -> UnsafeMutableRawBufferPointer? { nil }
    public func finish(_ mapping: TransferRingMapping) {}
    public func collect(_ mapping: TransferRingMapping) {}

    /// Of a carrier that survives the driver: it takes what it finds.
    public func decide(_ record: RingRecord, _ mapping: TransferRingMapping, patience: Duration) throws(USBError) -> RecordFate { .carried }
}

/// What became of a transfer whose driver died while it submitted it.
public enum RecordFate: Hashable, Sendable {
    /// It is in flight, or has completed by itself.
    case carried
    /// The carrier has never heard of it.
    case neverSubmitted
    /// It was in flight for longer than anybody waited, and was ended. It has completed; how much
    /// of it had been taken is not to be relied on.
    case withdrawn
}

/// Sees a ring's transfers go out and come back: a flight recorder. Called on the ring's thread.
public protocol TransferWitness: AnyObject, Sendable {
    /// - Parameter time: CLOCK_MONOTONIC nanoseconds where somebody has just looked, `nil` for now.
    func submitted(_ number: UInt64, length: Int, at time: UInt64?)
    /// Before it is handled; once, also where it is taken again.
    func completed(_ transfer: TransferRing.Transfer)
}

/// What a carrier has seen.
public enum CarrierEvent: Hashable, Sendable {
    case timedOut
    /// Some record may have completed.
    case progress
}

/// What makes carriers: an open device.
public protocol RingCarrierSource: Sendable {
    /// What a predecessor left in flight in this ring may come back whenever another ring waits:
    /// from here on it is taken for it.
    func expect(_ mapping: TransferRingMapping)
    /// It is not: nobody is to use that ring.
    func forget(_ mapping: TransferRingMapping)
    /// - Parameter wake: tells whoever carries that something was submitted: an eventfd, which stays the caller's. `nil` if the kernel carries.
    func carrier(endpoint: EndpointAddress, type: TransferType, wake: Int32?) throws(USBError) -> any RingCarrier
}

extension RingCarrierSource {
    /// Of a device whose rings have nothing to do with each other.
    public func expect(_ mapping: TransferRingMapping) {}
    public func forget(_ mapping: TransferRingMapping) {}
}
