// What the kernel's usbfs is for a device of this machine, for one on another: an open device that survives its drivers.

import CLinux
import Glibc
import Synchronization
import Threads
public import TransferRing
public import USB
import USBIP

/// Owns the socket of an imported device. Drivers come and go: each gets a connection of its own for control and interrupt transfers, and the
/// rings of its streams go on whoever reads them.
public final class USBIPProxy: Sendable {
    private struct State {
        var driver: URBProxy?
        var rings: [Int: PortRing] = [:]
    }

    private let channel: URBChannel
    private let state = Mutex(State())

    /// Owns the socket, also when it throws. `gone` is called once, when the server has closed the connection or broken the protocol.
    public init(
        socket: Int32, deviceID: UInt32, gone: @escaping @Sendable (USBError) -> Void
    ) throws(USBError) {
        channel = try URBChannel(socket: socket, deviceID: deviceID)
        channel.onFailure(gone)
    }

    /// A new driver has the other end of `socket`, which this owns; what the one before left in flight is ended.
    public func connect(driver socket: Int32) throws(USBError) {
        let proxy = URBProxy(socket: socket, channel: channel)
        let before = state.withLock { state in
            defer { state.driver = proxy }
            return state.driver
        }
        before?.end()
        do throws(WorkerThread.StartFailure) {
            try proxy.start()
        } catch {
            throw USBError(.connection, operation: "pthread_create", detail: errorText(error.number))
        }
    }

    /// Carries a ring's transfers; one of the same number is ended before.
    /// - Parameters:
    ///   - memory: the ring's memfd, which stays the caller's.
    ///   - wake: the driver's eventfd, which stays the caller's.
    ///   - interval: of the endpoint, in frames or microframes.
    public func carry(
        ring number: Int, memory: Int32, geometry: TransferRingGeometry, wake: Int32, endpoint: EndpointAddress, interval: Int32
    ) throws(USBError) {
        end(ring: number)
        let mapping = try TransferRingMapping(descriptor: memory, geometry: geometry, number: nil)
        let queue = USBIPTransferQueue(channel: channel, endpoint: endpoint, type: geometry.type, interval: interval)
        let duplicate = clinux_duplicate(wake)
        guard duplicate >= 0 else { throw USBError(.connection, operation: "dup(eventfd)", detail: errorText(-duplicate)) }
        let ring = PortRing(mapping: mapping, queue: queue, wake: duplicate)
        do throws(WorkerThread.StartFailure) {
            try ring.start()
        } catch {
            ring.end()
            throw USBError(.connection, operation: "pthread_create", detail: errorText(error.number))
        }
        state.withLock { $0.rings[number] = ring }
    }

    public func end(ring number: Int) {
        state.withLock { $0.rings.removeValue(forKey: number) }?.end()
    }
}
