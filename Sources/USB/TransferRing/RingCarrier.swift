// Who carries a ring's transfers: the kernel through usbfs, or the process that owns a USB/IP socket.

public import USB

/// The way from a ring to its endpoint. Used from one thread, but for `cancelAll`.
public protocol RingCarrier: AnyObject, Sendable {
    /// Puts a record, which is `isUncertain`, in flight.
    func submit(_ record: RingRecord) throws(USBError)
    /// A record that a predecessor left uncertain or in flight: marks it completed where it has been.
    func adopt(_ record: RingRecord)
    /// Waits until a record may have completed.
    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent
    /// Asks for everything in flight to end; each record still completes. From any thread.
    func cancelAll(_ mapping: TransferRingMapping)
}

/// Who sees a ring's transfers go and come back: a flight recorder. Called on the ring's thread.
public protocol TransferWitness: AnyObject, Sendable {
    func submitted(_ number: UInt64, length: Int)
    /// Before it is handled; once, also where it is taken again.
    func completed(_ transfer: TransferRing.Transfer)
}

/// What a carrier has seen.
public enum CarrierEvent: Hashable, Sendable {
    case timedOut
    /// Some record has completed.
    case progress
    /// This record has completed, and those before it are not in flight any more.
    case completed(index: Int)
}

/// What makes carriers: an open device.
public protocol RingCarrierSource: Sendable {
    /// - Parameter wake: tells whoever carries that something was submitted: an eventfd, which stays the caller's. `nil` where the kernel carries.
    func carrier(endpoint: EndpointAddress, type: TransferType, wake: Int32?) throws(USBError) -> any RingCarrier
}
