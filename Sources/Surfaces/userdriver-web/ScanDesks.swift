// Which scanners somebody has looked at.

import ScannerClient
import UserDriverClient

actor ScanDesks {
    private let client: UserDriverClient
    /// By the scanners' ids.
    private var desks: [String: ScanDesk] = [:]

    init(client: UserDriverClient) { self.client = client }

    /// A desk outlives its scanner's being there: its pages are whole. So the daemon is asked once.
    func desk(of device: String) async throws -> ScanDesk {
        if let desk = desks[device] { return desk }
        let scanner = try await client.scanner(device)
        if let desk = desks[scanner.deviceID] { return desk }
        let desk = ScanDesk(scanner)
        desks[scanner.deviceID] = desk
        return desk
    }
}
