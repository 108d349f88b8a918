// What the kernel's usbfs is for a device of this machine, for one on another: an open device that
// survives its drivers.

import CLinux
public import FileDescriptors
import Glibc
import Synchronization
import Threads
public import TransferRing
public import USB
import USBIP

/// Owns the socket of an imported device. Each function of the device has its drivers, which come
/// and go: each gets a connection of its own for control and interrupt transfers, may speak to its
/// function only, and the rings of its streams continue no matter who reads them.
public final class USBIPProxy: Sendable {
    private struct Function {
        var driver: URBProxy?
        var rights = FunctionRights(interfaces: 0, endpoints: [])
        var rings: [Int: PortRing] = [:]
        /// Alternate settings other than 0 that its drivers asked for.
        var alternates: [UInt8: UInt8] = [:]
    }

    /// Of a device, at most: it has no more interfaces than that.
    private static let mostFunctions = 32

    private let channel: URBChannel
    private let functions = Mutex<[Int: Function]>([:])

    /// Over the server's socket. `gone` is called once, when the server has closed the
    /// connection or broken the protocol.
    public init(
        socket: consuming OwnedDescriptor, deviceID: UInt32, gone: @escaping @Sendable (USBError) -> Void
    ) throws(USBError) {
        channel = try URBChannel(socket, deviceID: deviceID)
        channel.onFailure(gone)
    }

    /// A new driver of that function has the other end of `socket`; what the previous one left in
    /// flight is ended.
    public func connect(driver socket: consuming OwnedDescriptor, function: Int = 0, rights: FunctionRights)
        throws(USBError)
    {
        let proxy = URBProxy(connection: socket, channel: channel, rights: rights) {
            [weak self] interface, setting in
            self?.functions.withLock {
                $0[function]?.alternates[interface] = setting == 0 ? nil : setting
            }
        }
        let (before, isTaken) = functions.withLock { functions -> (URBProxy?, Bool) in
            guard functions[function] != nil || functions.count < Self.mostFunctions else {
                return (nil, false)
            }
            var entry = functions[function] ?? Function()
            defer { functions[function] = entry }
            let before = entry.driver
            (entry.driver, entry.rights) = (proxy, rights)
            return (before, true)
        }
        guard isTaken else {
            throw USBError(
                .busy, operation: "connect a driver",
                detail: "there are \(Self.mostFunctions) functions already")
        }
        before?.end()
        do throws(WorkerThread.StartFailure) {
            try proxy.start()
        } catch {
            throw USBError(.connection, operation: "pthread_create", detail: errorText(error.number))
        }
    }

    /// Ends everything that is in flight for a function, and puts its interfaces back to alternate
    /// setting 0, as the kernel does when a file is closed.
    public func leave(function: Int) {
        guard let left = functions.withLock({ $0.removeValue(forKey: function) }) else { return }
        left.driver?.end()
        for ring in left.rings.values { ring.end() }
        let channel = channel
        for interface in left.alternates.keys.sorted() {
            Self.setAlternateSettingZero(of: interface, on: channel)
        }
    }

    /// What comes next on the connection comes after it, so nobody waits for the answer. A device
    /// that refuses, or is gone, is left as it is.
    private static func setAlternateSettingZero(of interface: UInt8, on channel: URBChannel) {
        let setup = ControlSetup(
            requestType: 0x01, request: StandardRequest.setInterface, value: 0, index: UInt16(interface),
            length: 0)
        let command = SubmitCommand(
            sequence: 0, deviceID: 0, endpoint: EndpointAddress(number: 0, direction: .out), length: 0,
            setup: setup)
        let transfer = PendingTransfer(
            buffer: TransferBuffer(count: 1), length: 0, packetLengths: [], isIn: false, tag: 0,
            condition: nil)
        do throws(USBError) {
            try withUnsafeTemporaryAllocation(byteCount: URBHeader.byteCount, alignment: 8) {
                (message) throws(USBError) in
                try channel.submit(transfer, command: command, message: message) {}
            }
        } catch {
            // The connection has ended, and with it the stream.
        }
    }

    /// Carries a ring's transfers; one of the same number is ended before.
    /// - Parameters:
    ///   - function: whose ring it is. Its rights hold for the ring's endpoint too.
    ///   - memory: the ring's memfd, which stays the caller's.
    ///   - wake: the driver's eventfd, which stays the caller's.
    ///   - interval: of the endpoint, in frames or microframes.
    public func carry(
        ring number: Int, function: Int = 0, memory: Int32, geometry: TransferRingGeometry, wake: Int32,
        endpoint: EndpointAddress,
        interval: Int32
    ) throws(USBError) {
        guard functions.withLock({ $0[function]?.rights.allows(endpoint: endpoint) }) == true else {
            throw USBError(
                .accessDenied, operation: "ring of \(endpoint)",
                detail: "the endpoint does not belong to the function")
        }
        end(ring: number, function: function)
        let mapping = try TransferRingMapping(descriptor: memory, geometry: geometry, number: nil)
        guard let duplicate = OwnedDescriptor(duplicating: wake) else {
            throw USBError(.connection, operation: "dup(eventfd)", detail: errorText(errno))
        }
        let ring = PortRing(
            mapping: mapping, channel: channel, endpoint: endpoint, interval: interval, wake: duplicate)
        ring.start()
        functions.withLock { $0[function]?.rings[number] = ring }
    }

    public func end(ring number: Int, function: Int = 0) {
        functions.withLock { $0[function]?.rings.removeValue(forKey: number) }?.end()
    }
}
