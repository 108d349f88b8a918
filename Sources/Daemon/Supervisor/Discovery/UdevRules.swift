// udev's rules for the devices that drivers match: who may open them, and that the daemon runs when one is plugged in.

import Bundles

/// Text for /usr/lib/udev/rules.d, made from drivers' match tables.
public enum UdevRules {
    public static let fileName = "70-userdriver.rules"
    /// The group that may open the devices, which the daemon runs as.
    static let group = "userdriver"
    static let unit = "userdriverd.service"

    /// The rules for every driver in the configuration's folders. Throws `SupervisorError` where a driver can't be read, or may not run.
    public static func text(for configuration: SupervisorConfiguration) throws(SupervisorError) -> String {
        let folders = configuration.driverFolders
        let catalog = DriverCatalog(
            folders: folders,
            trust: DriverTrust(
                reading: TrustFiles(allowedSigners: configuration.allowedSigners, revokedKeys: configuration.revokedKeys),
                allowsUnsigned: configuration.allowsUnsigned))
        if let problem = catalog.problems.first { throw SupervisorError(description: "\(problem)") }
        guard !catalog.bundles.isEmpty else {
            throw SupervisorError(description: "There is no driver in \(folders.joined(separator: ", ")).")
        }
        return text(for: catalog.bundles.map(\.manifest))
    }

    static func text(for manifests: [DriverManifest]) -> String {
        var lines = [
            "# Made by `userdriverd --print-udev-rules` from the drivers' match tables: don't edit.",
            "# The name sorts before 73-seat-late.rules, which gives devices tagged uaccess to whoever sits at the machine.",
            "ACTION==\"remove\", GOTO=\"userdriver_end\"",
            "SUBSYSTEM!=\"usb\", GOTO=\"userdriver_end\"",
            "ENV{DEVTYPE}!=\"usb_device\", GOTO=\"userdriver_end\"",
        ]
        for manifest in manifests.sorted(by: { $0.id < $1.id }) {
            lines += ["", "# \(manifest.id)"]
            var seen: Set<String> = []
            for condition in manifest.match.map(condition(of:)) where seen.insert(condition).inserted {
                lines.append("\(condition), GOTO=\"userdriver_device\"")
            }
        }
        lines += [
            "GOTO=\"userdriver_end\"", "",
            "LABEL=\"userdriver_device\"",
            "MODE=\"0660\", GROUP=\"\(group)\", TAG+=\"uaccess\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"\(unit)\"", "",
            "LABEL=\"userdriver_end\"", "",
        ]
        return lines.joined(separator: "\n")
    }

    /// What udev can tell of a rule: `bcdDevice` is left out, as udev has no ranges; the driver's own match is stricter then.
    private static func condition(of rule: MatchRule) -> String {
        var parts: [String] = []
        if let vendor = rule.vendor { parts.append("ATTR{idVendor}==\"\(DeviceIdentity.hex(vendor))\"") }
        if let product = rule.product { parts.append("ATTR{idProduct}==\"\(DeviceIdentity.hex(product))\"") }
        if let interfaceClass = rule.interfaceClass {
            // usb_id's list of the interfaces' class, subclass and protocol: `:0e0100:0e0200:`.
            let pattern = [interfaceClass, rule.interfaceSubclass, rule.interfaceProtocol].map { $0.map(hex) ?? "??" }.joined()
            parts.append("ENV{ID_USB_INTERFACES}==\"*:\(pattern):*\"")
        }
        return parts.joined(separator: ", ")
    }

    private static func hex(_ value: UInt8) -> String {
        let text = String(value, radix: 16)
        return text.count == 1 ? "0" + text : text
    }
}
