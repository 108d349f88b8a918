// A device's transfers as they go over the wire, and those before a driver's death.

import CLinux
import FileDescriptors
public import FlightRecorder
import Glibc
import USB
import Wire

/// A device's flight recorder, and what a capture file needs to know of the device.
public struct DeviceCapture: Sendable {
    public let deviceID: String
    public let busNumber: UInt32
    public let deviceNumber: UInt32
    /// The device descriptor, then every configuration.
    public let descriptors: [UInt8]
    public let reader: RecorderReader
}

extension UserDriverClient {
    /// The last transfers before a driver's death, as a pcapng file. Throws `invalidParameter` if there is no capture of that number.
    public func crashCapture(_ number: Int) async throws(ClientError) -> [UInt8] {
        let (_, descriptor) = try await callForDescriptor("CrashCapture", ["number": .int(Int64(number))])
        guard let descriptor else { throw Self.malformed("CrashCapture") }
        let file = OwnedDescriptor(descriptor)
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < Self.largestCapture {
            let count = read(file.number, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system("Reading the capture", errno) }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    /// No capture has more bytes.
    private static var largestCapture: Int { 16 << 20 }

    /// The device's transfers from now on: `DeviceCapture.reader` has the newest ones, whatever becomes of the driver.
    public func capture(_ selector: String? = nil) async throws(ClientError) -> DeviceCapture {
        let (reply, descriptor) = try await callForDescriptor("Capture", selector.map { ["device": .string($0)] } ?? [:])
        guard let descriptor else { throw Self.malformed("Capture") }
        let memory = OwnedDescriptor(descriptor)
        guard let id = reply["id"]?.stringValue, let text = reply["descriptors"]?.stringValue, let descriptors = Base64.decode(text),
            let bus = reply["busNumber"]?.intValue, let device = reply["deviceNumber"]?.intValue
        else { throw Self.malformed("Capture") }
        let reader: RecorderReader
        do throws(USBError) {
            reader = try RecorderReader(descriptor: memory.number)
        } catch {
            throw Self.malformed("Capture")
        }
        return DeviceCapture(
            deviceID: id, busNumber: UInt32(clamping: bus), deviceNumber: UInt32(clamping: device), descriptors: descriptors,
            reader: reader)
    }

    private func callForDescriptor(
        _ method: String, _ parameters: [String: JSONValue]
    ) async throws(ClientError) -> (reply: JSONValue, descriptor: Int32?) {
        let (directory, timeout) = (runtimeDirectory, callTimeout)
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            return try connection.callForDescriptor(
                "\(ManagementInterface.name).\(method)", .object(parameters),
                deadline: clinux_monotonic_ns() + timeout.clientNanoseconds)
        }
    }
}
