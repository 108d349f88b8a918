// The lower layers of a device on another machine: a USB/IP server, and what it offers.

import USB
import USBIP
import USBIPHost

/// What is known of the server of an attached device.
public struct RemoteServer: Hashable, Sendable {
    public enum Reach: Hashable, Sendable {
        /// The device is driven over it: there is nothing to ask.
        case proven
        /// It answers, and offers the device.
        case offers
        /// It answers, and offers other bus ids or none. Linux's server leaves out what somebody has imported.
        case withholds([String])
        case unreachable(String)
    }
    /// `"127.0.0.1:3240"`
    public var authority: String
    public var busID: String
    public var reach: Reach

    public init(authority: String, busID: String, reach: Reach) {
        self.authority = authority
        self.busID = busID
        self.reach = reach
    }

    /// Asks the server, unless the device is driven over it. `nil` if it is not a `usbip://` address.
    public static func look(at url: String, isDriven: Bool, timeout: Duration = .seconds(3)) async -> RemoteServer? {
        guard let address = USBIPAddress(url) else { return nil }
        let authority = address.host.contains(":") ? "[\(address.host)]:\(address.port)" : "\(address.host):\(address.port)"
        var server = RemoteServer(authority: authority, busID: address.busID, reach: .proven)
        if isDriven { return server }
        do throws(USBError) {
            let list = try await USBIPHost.deviceList(host: address.host, port: address.port, timeout: timeout).map(\.device.busID)
            server.reach = list.contains(address.busID) ? .offers : .withholds(list)
        } catch {
            server.reach = .unreachable("\(error)")
        }
        return server
    }
}
