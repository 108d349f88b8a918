// The driver's side of a ring behind a port: tells the port what to carry, and waits for what it has carried.

import CLinux
import FileDescriptors
import Glibc
import Synchronization
public import TransferRing
public import USB

/// Carries a ring's transfers through the process that owns the USB/IP socket. That process goes on whoever submitted dies.
final class PortCarrier: RingCarrier {
    /// An eventfd that the port waits on.
    private let wake: OwnedDescriptor

    /// Takes a duplicate of the descriptor.
    init(wake: Int32) throws(USBError) {
        guard let duplicate = OwnedDescriptor(duplicating: wake) else {
            throw USBError(.connection, operation: "dup(eventfd)", detail: errorText(errno))
        }
        self.wake = duplicate
    }

    /// The port looks for what was submitted whenever something completes. So it is told only where
    /// that may take a while.
    func submit(_ record: RingRecord) throws(USBError) { if !record.isAmongMany { tellPort() } }

    /// The port has taken it, or takes it still: nothing is uncertain.
    func adopt(_ record: RingRecord) { tellPort() }

    func wait(_ mapping: TransferRingMapping, timeout: Duration) throws(USBError) -> CarrierEvent {
        switch mapping.waitForPort(timeout: timeout) {
        case .timedOut: return .timedOut
        case .progress: return .progress
        case .disconnected:
            throw USBError(.noDevice, operation: "transfer", detail: "the server closed the connection")
        }
    }

    func cancelAll(_ mapping: TransferRingMapping) {
        mapping.askPortToCancel()
        tellPort()
    }

    private func tellPort() {
        var one: UInt64 = 1
        _ = write(wake.number, &one, 8)  // Fails only when the counter is full, which wakes as well.
    }
}

extension USBIPDevice: RingCarrierSource {
    public func carrier(endpoint: EndpointAddress, type: TransferType, wake: Int32?) throws(USBError)
        -> any RingCarrier
    {
        guard let wake else {
            throw USBError(
                .invalidArgument, operation: "ring of \(endpoint)",
                detail: "a USB/IP device's rings are carried by its port")
        }
        return try PortCarrier(wake: wake)
    }
}
