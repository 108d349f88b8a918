// A scanner: what it can do, how it is, and scans whose pages arrive once each.

@_exported public import ScannerInterface
public import UserDriverClient
import Wire

/// A scanner that the daemon drives.
public struct Scanner: Sendable {
    public let client: UserDriverClient
    /// Its id.
    public let deviceID: String

    public init(client: UserDriverClient, deviceID: String) {
        self.client = client
        self.deviceID = deviceID
    }

    public func capabilities() async throws(ClientError) -> ScannerCapabilities {
        try await client.call(Self.method(.getCapabilities), device: deviceID, timeout: .seconds(65)).decode()
    }

    public func state() async throws(ClientError) -> ScannerState {
        try await client.call(Self.method(.getStatus), device: deviceID, timeout: .seconds(35)).decode()
    }

    /// Scans. The pages are objects of the job, kept until they are acknowledged
    /// (`DeviceJob.acknowledge`), whatever dies in the meantime. A running job is joined; one that
    /// has ended is reported again, with the pages that nobody has acknowledged.
    public func scan(_ settings: ScanSettings = ScanSettings(), job: DeviceJob) -> ScanEvents {
        ScanEvents(scanner: self, settings: settings, job: job)
    }

    /// Sets how many pages of a job that is `held` are wanted so far, counted from its beginning.
    public func feed(_ job: DeviceJob, pages: Int) async throws(ClientError) {
        _ = try await client.call(
            Self.method(.feed), device: deviceID, ["job": .string(job.token), "pages": .int(Int64(pages))], timeout: .seconds(35))
    }

    /// Ends a scan as soon as possible. Whole pages are kept.
    public func cancel(_ job: DeviceJob) async throws(ClientError) {
        _ = try await client.call(Self.method(.cancel), device: deviceID, ["job": .string(job.token)], timeout: .seconds(35))
    }

    static func method(_ method: ScannerInterface.Method) -> String { "\(ScannerInterface.name).\(method.rawValue)" }
}

extension UserDriverClient {
    /// The scanner that the selector names; without one, the only one. Throws `noSuchDevice`,
    /// `ambiguousDevice`, and `notSupported` for another kind of device.
    public func scanner(_ selector: String? = nil) async throws(ClientError) -> Scanner {
        let services = try await services(selector)
        let ids = services.filter { $0.interface == ScannerInterface.name }.map(\.device)
        guard let id = ids.first else {
            throw selector == nil
                ? ClientError(.noSuchDevice, "No scanner is attached.")
                : ClientError(.notSupported, "\(selector ?? "") is not a scanner that is being driven: see `userdriver status`.")
        }
        guard ids.count == 1 else {
            throw ClientError(.ambiguousDevice, "Several scanners match; say which one: \(ids.joined(separator: ", ")).")
        }
        return Scanner(client: self, deviceID: id)
    }
}
