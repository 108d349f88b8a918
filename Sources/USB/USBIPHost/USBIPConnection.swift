// A server's two services before any transfer: its device list, and an import.

public import FileDescriptors
import Glibc
import Synchronization
public import USB
public import USBIP

/// A connection on which a device was just imported: nothing was sent on it since, and nothing is in flight.
public final class USBIPImport: Sendable {
    public let address: USBIPAddress
    public let record: DeviceRecord
    private let socket: Mutex<OwnedDescriptor?>

    init(address: USBIPAddress, record: DeviceRecord, socket: consuming OwnedDescriptor) {
        self.address = address
        self.record = record
        self.socket = Mutex(consume socket)
    }

    /// What URB headers name the device by.
    public var deviceID: UInt32 { record.deviceID }

    /// Gives the socket away. `nil` the second time.
    public func takeSocket() -> OwnedDescriptor? { socket.withLock { $0.take() } }
}

/// How a USB/IP server is asked.
public enum USBIPConnection {
    /// What the server offers. Uses a connection of its own.
    public static func deviceList(
        host: String, port: UInt16 = USBIPAddress.standardPort, timeout: Duration = .seconds(5)
    ) async throws(USBError) -> [DeviceListEntry] {
        try await onThread("usbip list") { () throws(USBError) in
            let connection = try ServerConnection(host: host, port: port, timeout: timeout)
            try connection.send(OperationHeader(.requestDeviceList).bytes)
            var bytes: [UInt8] = []
            while true {
                let progress: DeviceList.Progress
                do throws(USBIPError) { progress = try DeviceList.decode(bytes) } catch { throw error.malformed("OP_REP_DEVLIST") }
                switch progress {
                case .complete(let list): return list.entries
                case .needs(let count): try connection.receive(count - bytes.count, into: &bytes)
                }
            }
        }
    }

    /// Imports the device for this process: the server gives it to nobody else until the socket is closed.
    ///
    /// Throws `busy` if someone else has it, `notFound` if the server has no device with that bus id (or does not say why it refuses).
    public static func importDevice(
        host: String, port: UInt16 = USBIPAddress.standardPort, busID: String, timeout: Duration = .seconds(5)
    ) async throws(USBError) -> USBIPImport {
        let address = USBIPAddress(host: host, port: port, busID: busID)
        guard (1...31).contains(busID.utf8.count) else {
            throw USBError(.invalidArgument, operation: "import \(address)", detail: "a bus id must have 1 to 31 bytes")
        }
        return try await onThread("usbip import") { () throws(USBError) in
            let connection = try ServerConnection(host: host, port: port, timeout: timeout)
            try connection.send(ImportRequest(busID: busID).bytes)
            var bytes: [UInt8] = []
            try connection.receive(OperationHeader.byteCount, into: &bytes)
            let header: OperationHeader
            do throws(USBIPError) { header = try OperationHeader(decoding: bytes) } catch { throw error.malformed("OP_REP_IMPORT") }
            guard header.status == .ok else { throw header.status.error("import \(address)") }
            guard header.code == .replyImport else {
                throw USBError(.malformedAnswer, operation: "OP_REP_IMPORT", detail: "\(header.code)")
            }
            bytes = []
            try connection.receive(DeviceRecord.byteCount, into: &bytes)
            let record: DeviceRecord
            do throws(USBIPError) { record = try DeviceRecord(decoding: bytes) } catch { throw error.malformed("OP_REP_IMPORT") }
            return USBIPImport(address: address, record: record, socket: connection.take())
        }
    }
}

extension USBIPError {
    func malformed(_ operation: String) -> USBError { USBError(.malformedAnswer, operation: operation, detail: description) }
}

extension OperationStatus {
    /// Linux's server says `failed` for a device that is not exported, whatever the reason.
    fileprivate func error(_ operation: String) -> USBError {
        switch self {
        case .busy: USBError(.busy, operation: operation, detail: "someone else has imported it")
        case .noDevice, .failed: USBError(.notFound, operation: operation, detail: description)
        default: USBError(.connection, operation: operation, detail: description)
        }
    }
}
