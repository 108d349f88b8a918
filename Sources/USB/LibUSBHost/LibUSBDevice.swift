// A device that is open through usbfs and libusb.
import CLibUSB
import CLinux
import Dispatch
public import USB
import USBFS

/// An open device on this machine. It closes itself when nobody holds it or one of its queues any more.
public final class LibUSBDevice: USBDeviceHandle {
    public let information: USBDeviceInformation
    private let connection: DeviceConnection

    /// Calls that block in the kernel (SET_INTERFACE may take seconds) are made here, and hold up neither tasks nor events.
    private static let blocking = DispatchQueue(label: "libusb", attributes: .concurrent)

    /// Drives a device through a usbfs node that somebody else opened, without opening any file.
    ///
    /// On success the descriptor belongs to this object, which closes it last; on failure it remains the caller's. If
    /// `information.descriptors` is empty, they are read from the descriptor. Makes one control transfer (GET_CONFIGURATION). With libusb
    /// before 1.0.27 a process that wraps a descriptor before it has made a `LibUSBHost` can't make one later (`notSupported`).
    public init(wrapping descriptor: Int32, information: USBDeviceInformation) throws(USBError) {
        connection = try DeviceConnection(wrapping: descriptor, context: try LibUSBContext.wrapping())
        var information = information
        if information.descriptors.isEmpty {
            information.descriptors = DeviceListing.contents(ofDescriptor: descriptor, limit: 1 << 20) ?? []
        }
        self.information = information
    }

    deinit { connection.close() }

    public func close() { connection.close() }

    // MARK: Control transfers

    /// Linux carries at most 4096 bytes of data (`invalidArgument` beyond). Ends early with `cancelled` when the task is cancelled.
    public func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let operation = "control transfer (\(setup))"
        guard data.count == (setup.direction == .out ? Int(setup.length) : 0) else {
            throw USBError(.invalidArgument, operation: operation, detail: "wLength is not the number of bytes to send")
        }
        guard setup.length <= 4096 else {
            throw USBError(.invalidArgument, operation: operation, detail: "Linux carries at most 4096 bytes")
        }
        let record = try TransferRecord()
        let buffer = TransferBuffer(count: 8 + Int(setup.length))
        buffer.bytes.copyBytes(from: setup.bytes + data)
        record.prepare(
            endpoint: 0, type: .control, buffer: buffer, length: buffer.bytes.count, timeout: timeout.wholeMilliseconds)

        let connection = connection
        let refusal: USBError? = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<USBError?, Never>) in
                record.completion = { _ in continuation.resume(returning: nil) }
                do throws(USBError) {
                    try connection.submit(record, operation: operation)
                } catch {
                    continuation.resume(returning: error)
                }
            }
        } onCancel: {
            connection.cancel(record)
        }
        record.completion = nil
        if let refusal { throw refusal }
        if let error = record.status.error(operation: operation) { throw error }
        guard setup.direction == .in else { return [] }
        return Array(buffer.bytes[8...].prefix(record.actualLength))
    }

    // MARK: Interfaces and endpoints

    public func claim(interface: UInt8) async throws(USBError) {
        try await block { (connection) throws(USBError) in try connection.claim(interface: interface) }
    }

    public func release(interface: UInt8) async throws(USBError) {
        try await block { (connection) throws(USBError) in try connection.release(interface: interface) }
    }

    public func setAlternateSetting(interface: UInt8, to alternateSetting: UInt8) async throws(USBError) {
        try await block { (connection) throws(USBError) in
            try connection.call("libusb_set_interface_alt_setting(\(interface), \(alternateSetting))") {
                libusb_set_interface_alt_setting($0, Int32(interface), Int32(alternateSetting))
            }
        }
    }

    public func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        try await block { (connection) throws(USBError) in
            try connection.call("libusb_clear_halt(\(endpoint))") { libusb_clear_halt($0, endpoint.rawValue) }
        }
    }

    public func reset() async throws(USBError) {
        try await block { (connection) throws(USBError) in
            do throws(USBError) {
                try connection.call("libusb_reset_device") { libusb_reset_device($0) }
            } catch  where error.code == .notFound {
                // It came back as another device.
                connection.noteGone()
                throw USBError(.noDevice, operation: error.operation, detail: error.detail)
            }
        }
    }

    public func transferQueue(endpoint: EndpointAddress, type: TransferType) throws(USBError) -> any TransferQueue {
        guard type != .control else {
            throw USBError(.invalidArgument, operation: "transferQueue(\(endpoint))", detail: "control transfers are made by `control`")
        }
        return try LibUSBTransferQueue(endpoint: endpoint, type: type, device: self, connection: connection)
    }

    // MARK: The kernel's drivers

    /// The name of the kernel's driver that an interface is bound to (`"usbfs"` if a program has claimed it), `nil` for none.
    public func kernelDriver(interface: UInt8) async throws(USBError) -> String? {
        try await block { (connection) throws(USBError) in
            var name = [CChar](repeating: 0, count: 256)
            do throws(USBError) {
                try connection.callKernel("USBDEVFS_GETDRIVER(\(interface))") { clinux_usbfs_driver($0, UInt32(interface), &name) }
            } catch  where error.code == .notFound {
                return nil
            }
            return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    /// Takes an interface away from the kernel's driver; does nothing where none is bound. Refused after privileges were dropped.
    public func detachKernelDriver(interface: UInt8) async throws(USBError) {
        try await block { (connection) throws(USBError) in
            do throws(USBError) {
                try connection.callKernel("USBDEVFS_DISCONNECT(\(interface))") { clinux_usbfs_disconnect($0, UInt32(interface)) }
            } catch  where error.code == .notFound {
                return
            }
        }
    }

    /// Lets the kernel bind its driver to an interface that nobody claims.
    public func attachKernelDriver(interface: UInt8) async throws(USBError) {
        try await block { (connection) throws(USBError) in
            try connection.callKernel("USBDEVFS_CONNECT(\(interface))") { clinux_usbfs_connect($0, UInt32(interface)) }
        }
    }

    /// Makes a call that blocks, on a thread that may.
    @discardableResult
    private func block<Value: Sendable>(
        _ body: @escaping @Sendable (DeviceConnection) throws(USBError) -> Value
    ) async throws(USBError) -> Value {
        let connection = connection
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, USBError>, Never>) in
            Self.blocking.async {
                do throws(USBError) {
                    continuation.resume(returning: .success(try body(connection)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}
