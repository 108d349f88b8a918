// io.userdriver.scanner: what driver and clients of a scanner say to each other. The definition is
// the file beside, which the driver's bundle ships.

public import Wire

/// The interface of scanners.
public enum ScannerInterface {
    public static let name = "io.userdriver.scanner"
    /// Parsed at its first use.
    public static let interface = VarlinkInterface(
        ours: String(decoding: PackageResources.io_userdriver_scanner_varlink, as: UTF8.self))

    /// Its methods, without the interface's name.
    public enum Method: String, CaseIterable, Sendable {
        case getCapabilities = "GetCapabilities"
        case getStatus = "GetStatus"
        case scan = "Scan"
        case feed = "Feed"
        case cancel = "Cancel"
    }
}
