// What a device is to other programs: a scanner, a printer, or both.

import IPPUSB
import ScannerClient
import UserDriverClient

/// Asks which of them it is. `nil` for what it is not; throws where that can't be told now.
enum DeviceHalves {
    private static let patience = Duration.seconds(20)

    static func scanner(_ scanner: Scanner) async throws(ClientError) -> ScannerCapabilities? {
        try await half { () throws(ClientError) in try await scanner.capabilities() }
    }

    /// What it says of itself as a printer.
    static func printer(_ printer: Printer) async throws(ClientError) -> IPPResponse? {
        try await half { () throws(ClientError) in try await attributes(of: printer) }
    }

    /// A device that has not that half says so.
    private static func half<R: Sendable>(_ ask: () async throws(ClientError) -> R) async throws(ClientError) -> R? {
        do throws(ClientError) {
            return try await ask()
        } catch {
            guard error.code == .notSupported else { throw error }
            return nil
        }
    }

    private static func attributes(of printer: Printer) async throws(ClientError) -> IPPResponse {
        let request = IPPRequest.printerAttributes(uri: "ipp://localhost/ipp/print", requested: Announcement.printerAttributes, id: 1)
        let answer = try await printer.ask(request, within: patience)
        guard answer.status == 200 else {
            let isNone = [400, 404, 405, 415, 501].contains(answer.status)
            throw ClientError(
                isNone ? .notSupported : .deviceError, "The device answered an IPP request with HTTP status \(answer.status).")
        }
        let response: IPPResponse
        do throws(IPPSyntaxError) { response = try IPPResponse(parsing: answer.body) } catch {
            throw ClientError(.deviceError, "The device's answer to an IPP request can't be read: \(error)")
        }
        guard response.status < 0x0400 else {
            throw ClientError(.deviceError, "The device answered an IPP request with IPP status \(response.status).")
        }
        return response
    }
}
