// An open file of a device's node, and the requests on it that wait for their answer.

import CLinux
import FileDescriptors
import Dispatch
import Glibc
import USB

/// Claims, alternate settings and transfers in flight belong to the open file, and last as long as somebody has a duplicate: of the streaming
/// interfaces' file the supervisor does, so that the kernel goes on with what was submitted when the driver dies.
final class NodeFile: Sendable {
    var descriptor: Int32 { file.number }
    private let file: OwnedDescriptor
    private static let blocking = DispatchQueue(label: "usbfs", attributes: .concurrent)

    init(_ file: consuming OwnedDescriptor) { self.file = file }

    func claim(interface: UInt8) async throws(USBError) {
        _ = try await call("USBDEVFS_CLAIMINTERFACE(\(interface))") { clinux_usbfs_claim($0, UInt32(interface)) }
    }

    func release(interface: UInt8) async throws(USBError) {
        _ = try await call("USBDEVFS_RELEASEINTERFACE(\(interface))") { clinux_usbfs_release($0, UInt32(interface)) }
    }

    func setAlternateSetting(interface: UInt8, to setting: UInt8) async throws(USBError) {
        _ = try await call("USBDEVFS_SETINTERFACE(\(interface), \(setting))") {
            clinux_usbfs_set_interface($0, UInt32(interface), UInt32(setting))
        }
    }

    func clearHalt(endpoint: EndpointAddress) async throws(USBError) {
        _ = try await call("USBDEVFS_CLEAR_HALT(\(endpoint))") { clinux_usbfs_clear_halt($0, UInt32(endpoint.rawValue)) }
    }

    /// Resets the device's port. `noDevice` where it came back as another one.
    func reset() async throws(USBError) { _ = try await call("USBDEVFS_RESET") { clinux_usbfs_reset($0) } }

    func control(_ setup: ControlSetup, sending data: [UInt8], timeout: Duration) async throws(USBError) -> [UInt8] {
        let operation = "control transfer (\(setup))"
        guard data.count == (setup.direction == .out ? Int(setup.length) : 0), setup.length <= 4096 else {
            throw USBError(.invalidArgument, operation: operation, detail: "\(data.count) bytes to send, \(setup.length) in all")
        }
        let buffer = TransferBuffer(count: max(1, Int(setup.length)))
        buffer.bytes.copyBytes(from: data)
        let milliseconds = timeout.wholeMilliseconds
        let count = try await call(operation) {
            clinux_usbfs_control(
                $0, setup.requestType, setup.request, setup.value, setup.index, setup.length, milliseconds, buffer.bytes.baseAddress)
        }
        return setup.direction == .in ? Array(buffer.bytes.prefix(count)) : []
    }

    /// Makes a call that blocks on a thread that may.
    private func call(_ operation: String, _ body: @escaping @Sendable (Int32) -> Int32) async throws(USBError) -> Int {
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Int32, Never>) in
            Self.blocking.async { [self] in continuation.resume(returning: body(descriptor)) }
        }
        guard result >= 0 else { throw USBError(usbfs: -result, operation: operation) }
        return Int(result)
    }
}
